"""Storing a completion as it is generated, and the use cases of what is stored."""

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace

import pytest

from antiphon.core.errors import EngineFailed, StoredNotFound, StoreUnavailable
from antiphon.core.events import AssistantEvent, Completed, Failed
from antiphon.core.messages import SamplingOptions
from antiphon.core.stored import StoredCompletion, StoredQuery, join_deltas
from antiphon.service.stored import StoredCompletions
from antiphon.store.memory import MemoryStore
from tests.stored import MINE, OTHERS, FailingStore, completion, keeping
from tests.unit.service.serving import HELLO, Server


async def record(store: MemoryStore, server: Server, seed: int | None = None) -> list[AssistantEvent]:
    """All events of a completion that is stored."""
    await server.engine.start()
    request = replace(HELLO, sampling=SamplingOptions(seed=seed))
    opened = await StoredCompletions(store).open(server.completions, request, keeping(metadata={"k": "v"}))
    async with aclosing(opened.events()) as events:
        return [event async for event in events]


async def stored_in(store: MemoryStore) -> list[StoredCompletion]:
    """Everything."""
    page = await store.list(MINE, StoredQuery())
    assert page is not None
    return list(page.completions)


async def test_answer_is_stored_as_it_was_given() -> None:
    """The events that the caller got, joined, with the facts of the request."""
    store, server = MemoryStore(), Server()
    events = await record(store, server, seed=11)

    (stored,) = await stored_in(store)
    assert stored.answer == join_deltas(event for event in events if not isinstance(event, Failed))
    assert stored.keeping == keeping(metadata={"k": "v"})
    assert (stored.model, stored.choices, stored.seed) == ("fake", 1, 11)
    assert stored.id == server.asked[0].id
    assert server.idle


async def test_drawn_seed_is_stored() -> None:
    """So that the answer can be had again."""
    store, server = MemoryStore(), Server()
    await record(store, server)

    (stored,) = await stored_in(store)
    assert stored.seed == server.asked[0].sampling.seed


async def test_answer_is_committed_before_its_end_is_told() -> None:
    """Whoever hears of the end finds the completion."""
    store, server = MemoryStore(), Server()
    await server.engine.start()
    opened = await StoredCompletions(store).open(server.completions, HELLO, keeping())
    async with aclosing(opened.events()) as events:
        async for event in events:
            assert len(await stored_in(store)) == isinstance(event, Completed)


async def test_answer_that_cannot_be_stored_fails() -> None:
    """It does not end as if all were well."""
    store, server = FailingStore(add=True), Server()
    events = await record(store, server)

    assert isinstance(events[-1], Failed)
    assert isinstance(events[-1].error, StoreUnavailable)
    assert not any(isinstance(event, Completed) for event in events)
    assert server.idle


async def test_store_that_is_down_is_told_before_anything_is_generated() -> None:
    """The engine was not asked."""
    server = Server()

    with pytest.raises(StoreUnavailable):
        await record(FailingStore(check=True), server)
    assert server.asked == []
    assert server.idle


async def test_cancelled_completion_is_not_stored() -> None:
    """Nobody was promised it."""
    store, server = MemoryStore(), Server()
    await server.engine.start()
    opened = await StoredCompletions(store).open(server.completions, HELLO, keeping())
    async with aclosing(opened.events()) as events:
        await anext(events)

    assert await stored_in(store) == []
    assert server.idle


async def test_failed_completion_is_not_stored() -> None:
    """An ending that is a failure stays one."""
    store, server = MemoryStore(), Server()
    await server.engine.start()
    opened = await StoredCompletions(store).open(server.completions, HELLO, keeping())
    await server.engine.aclose()
    async with aclosing(opened.events()) as events:
        ending = [event async for event in events][-1]

    assert isinstance(ending, Failed)
    assert isinstance(ending.error, EngineFailed)
    assert await stored_in(store) == []


async def test_what_another_project_has_is_not_found() -> None:
    """By every use case, like what never was."""
    store = MemoryStore()
    await store.add(completion("a", OTHERS))
    stored = StoredCompletions(store)
    labels: Mapping[str, str] = {}

    for id in ("a", "never"):
        for call in (
            stored.get(MINE, id),
            stored.set_metadata(MINE, id, labels),
            stored.delete(MINE, id),
            stored.list(MINE, StoredQuery(after=id)),
        ):
            with pytest.raises(StoredNotFound) as caught:
                await call
            assert caught.value.id == id
    assert await stored.get(OTHERS, "a") == completion("a", OTHERS)


async def test_own_completions_are_found_relabelled_and_deleted() -> None:
    """The use cases where all is well."""
    store = MemoryStore()
    stored = StoredCompletions(store)
    await store.add(completion("a"))

    assert (await stored.list(MINE, StoredQuery())).completions == (completion("a"),)
    assert await stored.set_metadata(MINE, "a", {"k": "v"}) == completion("a", metadata={"k": "v"})
    await stored.delete(MINE, "a")
    with pytest.raises(StoredNotFound):
        await stored.get(MINE, "a")
