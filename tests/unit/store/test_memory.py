"""The bound of the store in memory; all else is its contract."""

import pytest

from antiphon.core.errors import StoreUnavailable
from antiphon.store.memory import MemoryStore
from tests.stored import completion


async def test_full_store_refuses_and_keeps_what_it_has() -> None:
    """Nothing that was acknowledged is dropped."""
    store = MemoryStore(capacity=1)
    await store.add(completion("a"))

    with pytest.raises(StoreUnavailable):
        await store.check()
    with pytest.raises(StoreUnavailable):
        await store.add(completion("b"))
    assert await store.get("mine", "a") == completion("a")


async def test_closed_store_has_forgotten_all() -> None:
    """It ends with the process, or before."""
    store = MemoryStore()
    await store.add(completion("a"))
    await store.aclose()

    assert await store.get("mine", "a") is None
