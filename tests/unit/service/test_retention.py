"""How old a stored completion may become while a server runs."""

import asyncio

from antiphon.core.errors import StoreUnavailable
from antiphon.service.retention import RetentionOptions, expiring
from antiphon.store.memory import MemoryStore
from tests.stored import MINE, completion

DAY_S = 86_400


class WatchedStore(MemoryStore):
    """Says when it was asked to forget, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.looks = 0
        self.forgot = asyncio.Event()
        self._failures = failures

    async def expire(self, before: int) -> int:
        """As the store does, unless it is to fail."""
        self.looks += 1
        if self.looks <= self._failures:
            raise StoreUnavailable()
        count = await super().expire(before)
        if count:
            self.forgot.set()
        return count


async def test_completion_is_forgotten_on_its_day() -> None:
    """Not a second before; what is younger stays."""
    store, now = WatchedStore(), [7 * DAY_S]
    await store.add(completion("old", created=0))
    await store.add(completion("young", created=1))
    async with expiring(store, RetentionOptions(7, period_s=0.001, clock=lambda: now[0])):
        assert await store.get(MINE, "old") is not None
        now[0] += 1
        await asyncio.wait_for(store.forgot.wait(), 10)
        assert await store.get(MINE, "old") is None
        assert await store.get(MINE, "young") is not None


async def test_store_that_fails_is_asked_again() -> None:
    """A disk that was full for a while does not end retention."""
    store = WatchedStore(failures=3)
    await store.add(completion("old", created=0))
    async with expiring(store, RetentionOptions(1, period_s=0.001, clock=lambda: 9e9)):
        await asyncio.wait_for(store.forgot.wait(), 10)

    assert await store.get(MINE, "old") is None


async def test_nothing_is_forgotten_behind_the_end() -> None:
    """The store may be closed by then."""
    store = WatchedStore()
    async with expiring(store, RetentionOptions(1, period_s=0.001)):
        pass
    looks = store.looks
    await asyncio.sleep(0.01)

    assert store.looks == looks
