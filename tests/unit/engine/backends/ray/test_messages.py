"""What crosses a Ray handle."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from antiphon.core.errors import AntiphonError, EngineFailed, EngineUnavailable, Overloaded
from antiphon.core.generation import ChoiceEnd, EngineEvent, EngineStats, TokenDelta, TokenLogprob
from antiphon.engine.backends.ray.messages import (
    Group,
    decode_group,
    encode,
    error_of,
    failure_of,
    group_pause_s,
    grouped,
    produced,
)


@pytest.mark.parametrize(
    "event",
    [
        TokenDelta(1, (5, 6), (TokenLogprob(5, -0.5, ((5, -0.5),)), TokenLogprob(6, -1.5)), 3),
        ChoiceEnd(2, "stop", 4),
    ],
)
def test_event_arrives_as_it_was(event: EngineEvent) -> None:
    """With all it says."""
    sent = Group("r", [produced(event)], EngineStats(running=1))
    assert decode_group(encode(sent)) == sent


@pytest.mark.parametrize("error", [EngineFailed(), Overloaded(), EngineUnavailable()])
def test_failure_arrives_as_its_class(error: AntiphonError) -> None:
    """By a word."""
    assert type(error_of(failure_of(error))) is type(error)


def test_groups_of_many_streams_are_further_apart() -> None:
    """More cores bear more of them; no stream is silent for long."""
    assert group_pause_s(1, 2) == group_pause_s(8, 16) == 0.03
    assert group_pause_s(2, 1) == group_pause_s(4, 2) < group_pause_s(4, 1)
    assert group_pause_s(1000, 1) == 0.25


async def items(*pauses: float) -> AsyncGenerator[int, None]:
    """Numbers, each after a pause."""
    for number, pause in enumerate(pauses):
        await asyncio.sleep(pause)
        yield number


async def groups_of(source: AsyncIterator[int], pause_s: float) -> list[list[int]]:
    """All groups."""
    async with aclosing(grouped(source, lambda: pause_s)) as groups:
        return [group async for group in groups]


async def test_what_comes_within_a_pause_comes_together() -> None:
    """The first item is not held back for the others."""
    groups = await groups_of(items(0, 0, 0, 0), 60)
    assert len(groups) <= 2
    assert [number for group in groups for number in group] == [0, 1, 2, 3]


async def test_nothing_is_lost_or_reordered() -> None:
    """Whatever the pauses."""
    groups = await groups_of(items(*([0.001, 0] * 20)), 0.002)
    assert [number for group in groups for number in group] == list(range(40))
    assert all(groups)


async def test_no_items_give_no_group() -> None:
    """The end comes at once."""
    assert await groups_of(items(), 60) == []


async def test_error_comes_behind_what_came_before_it() -> None:
    """Nothing is lost by it."""

    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise EngineFailed

    heard: list[list[int]] = []

    async def listen() -> None:
        async with aclosing(grouped(failing(), lambda: 60)) as groups:
            async for group in groups:
                heard.append(group)

    with pytest.raises(EngineFailed):
        await listen()
    assert heard == [[1]]


async def test_closing_early_closes_the_source() -> None:
    """A caller that left is not generated for."""
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with aclosing(endless()) as source, aclosing(grouped(source, lambda: 0)) as groups:
        await anext(aiter(groups))
    assert closed.is_set()
