"""What every implementation of `core.ports.CompletionStore` must do, as one suite.

To put a store under contract, write `test_store_<name>.py` with a fixture `store` that gives an
empty one, and one empty subclass of `StoreContract`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from antiphon.core.events import AlternativeToken, ChoiceEnded, Completed, ScoredToken, TextDelta, Usage
from antiphon.core.ports import CompletionStore
from antiphon.core.stored import Order, StoredPage, StoredQuery
from tests.stored import MINE, OTHERS, completion


def ids(page: StoredPage | None) -> list[str]:
    """Of the completions of a page."""
    assert page is not None
    return [stored.id for stored in page.completions]


async def fill(store: CompletionStore, names: Sequence[str]) -> None:
    """Add completions of these ids, each a second later than the one before."""
    for second, name in enumerate(names):
        await store.add(completion(name, created=second))


class StoreContract:
    """The suite."""

    async def test_what_was_added_comes_back_equal(self, store: CompletionStore) -> None:
        """Whatever texts, numbers and scores it holds."""
        token = ScoredToken("é", b"\xc3", float("-inf"), (AlternativeToken("a\0", b"a\0", -0.25),))
        answer = (
            TextDelta(0, 'two\n"lines" \u2028 \0 🐦', (token,)),
            ChoiceEnded(0, "length"),
            Completed(Usage(1, 2, 3)),
        )
        stored = completion("a", answer=answer, seed=-(2**63), metadata={"": "", "k\0": "é'"})
        kept = replace(stored.keeping, facts={"tools": [{"n": 10**30, "x": [None, True, 0.1]}]})
        stored = replace(stored, keeping=kept)
        await store.check()
        await store.add(stored)

        assert await store.get(MINE, "a") == stored
        assert await store.list(MINE, StoredQuery()) == StoredPage((stored,))

    async def test_project_sees_only_its_own(self, store: CompletionStore) -> None:
        """Under every call, another's completion is like none."""
        await store.add(completion("a", OTHERS, metadata={"k": "v"}))

        for id in ("a", "never"):
            assert await store.get(MINE, id) is None
            assert await store.set_metadata(MINE, id, {"k": "w"}) is None
            assert await store.delete(MINE, id) is False
            assert await store.list(MINE, StoredQuery(after=id)) is None
        assert await store.list(MINE, StoredQuery()) == StoredPage()
        assert await store.list(MINE, StoredQuery(metadata=(("k", "v"),))) == StoredPage()
        assert await store.get(OTHERS, "a") == completion("a", OTHERS, metadata={"k": "v"})

    @pytest.mark.parametrize("order", ["asc", "desc"])
    async def test_pages_give_everything_once_in_order(self, store: CompletionStore, order: Order) -> None:
        """By creation, then as they were stored; `has_more` is exact on every page."""
        for place in range(7):
            await store.add(completion(str(place), created=100 - place // 3))
        expected = ["6", "3", "4", "5", "0", "1", "2"]
        if order == "desc":
            expected.reverse()

        found: list[str] = []
        more: list[bool] = []
        while more in ([], [True] * len(more)):
            query = StoredQuery(after=found[-1] if found else None, limit=2, order=order)
            page = await store.list(MINE, query)
            found += ids(page)
            more.append(page is not None and page.has_more)

        assert (found, more) == (expected, [True, True, True, False])

    async def test_full_last_page_has_nothing_behind_it(self, store: CompletionStore) -> None:
        """The limit met exactly is not `has_more`."""
        await fill(store, "ab")
        page = await store.list(MINE, StoredQuery(limit=2))

        assert page is not None
        assert (ids(page), page.has_more) == (["a", "b"], False)

    async def test_filters_must_all_match(self, store: CompletionStore) -> None:
        """Model and every pair of metadata, exactly."""
        await store.add(completion("a", metadata={"k": "v", "l": "w"}))
        await store.add(completion("b", metadata={"k": "v"}))
        await store.add(completion("c", metadata={"k": "V", "v": "k"}, model="M"))

        async def found(**query: object) -> list[str]:
            return ids(await store.list(MINE, StoredQuery(**query)))  # type: ignore[arg-type]

        assert await found(metadata=(("k", "v"),)) == ["a", "b"]
        assert await found(metadata=(("k", "v"), ("l", "w"))) == ["a"]
        assert await found(metadata=(("k", "v"), ("k", "V"))) == []
        assert await found(model="M") == ["c"]
        assert await found(model="M", metadata=(("k", "v"),)) == []

    async def test_new_metadata_replaces_the_old(self, store: CompletionStore) -> None:
        """For reading and for filtering alike; the rest stays."""
        await store.add(completion("a", metadata={"k": "v"}))
        changed = completion("a", metadata={"l": "w"})

        assert await store.set_metadata(MINE, "a", {"l": "w"}) == changed
        assert await store.get(MINE, "a") == changed
        assert ids(await store.list(MINE, StoredQuery(metadata=(("k", "v"),)))) == []
        assert ids(await store.list(MINE, StoredQuery(metadata=(("l", "w"),)))) == ["a"]

    async def test_deleted_completion_is_gone(self, store: CompletionStore) -> None:
        """From every call, and a second deletion finds nothing."""
        await fill(store, "ab")

        assert await store.delete(MINE, "a") is True
        assert await store.delete(MINE, "a") is False
        assert await store.get(MINE, "a") is None
        assert await store.set_metadata(MINE, "a", {}) is None
        assert ids(await store.list(MINE, StoredQuery())) == ["b"]

    async def test_list_goes_on_behind_a_deleted_completion(self, store: CompletionStore) -> None:
        """So that a client can delete while it pages."""
        await fill(store, "abc")
        await store.delete(MINE, "b")

        assert ids(await store.list(MINE, StoredQuery(after="b"))) == ["c"]
        assert ids(await store.list(MINE, StoredQuery(after="b", order="desc"))) == ["a"]

    async def test_expired_completions_were_never_there(self, store: CompletionStore) -> None:
        """Of every project, deleted ones too: no call finds them, nor a place behind them; others stay."""
        await fill(store, "abcd")
        await store.add(completion("e", OTHERS, created=0, metadata={"k": "v"}))
        await store.delete(MINE, "b")
        forgotten = 0
        while count := await store.expire(2):
            forgotten += count

        assert forgotten == 3
        assert ids(await store.list(MINE, StoredQuery())) == ["c", "d"]
        assert await store.get(MINE, "a") is None
        assert await store.set_metadata(MINE, "a", {}) is None
        assert await store.delete(MINE, "a") is False
        assert await store.list(MINE, StoredQuery(after="b")) is None
        assert await store.list(OTHERS, StoredQuery(metadata=(("k", "v"),))) == StoredPage()

    async def test_many_expire_in_several_calls(self, store: CompletionStore) -> None:
        """None of which holds the others up for long; what is stored meanwhile has its place."""
        for place in range(205):
            await store.add(completion(str(place), created=1))
        first = await store.expire(2)
        await store.add(completion("later", created=5))
        await store.add(completion("latest", created=5))
        rest = 0
        while count := await store.expire(2):
            rest += count

        assert 0 < first < 205
        assert first + rest == 205
        assert ids(await store.list(MINE, StoredQuery())) == ["later", "latest"]

    async def test_calls_at_once_do_not_disturb_each_other(self, store: CompletionStore) -> None:
        """Writes and reads of many callers."""
        names = [str(place) for place in range(40)]
        await asyncio.gather(*(store.add(completion(name)) for name in names))
        await asyncio.gather(
            *(store.delete(MINE, name) for name in names[:20]),
            *(store.set_metadata(MINE, name, {"n": name}) for name in names[20:]),
            *(store.get(MINE, name) for name in names),
        )
        page = await store.list(MINE, StoredQuery(limit=100))

        assert page is not None
        assert {stored.id: stored.keeping.metadata for stored in page.completions} == {
            name: {"n": name} for name in names[20:]
        }
