"""What crosses a Ray handle, as MessagePack: nothing but these types is ever decoded.

Events travel in groups, since each item of a Ray stream costs about as much as a step of the engine.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeVar

import msgspec

from antiphon.core.errors import AntiphonError, EngineFailed, EngineUnavailable, Overloaded
from antiphon.core.generation import EngineEvent, EngineStats, PromptScores, TokenDelta
from antiphon.engine.frames import Message, Produced

T = TypeVar("T")

_GROUP_COST_S = 0.002
"""CPU time that Ray takes for an item of a stream, at both ends; measured by `bench.micro.ray_cost`."""
_GROUPS_SHARE = 0.05
_LEAST_PAUSE_S = 0.03
_LONGEST_PAUSE_S = 0.25

Failure = Literal["failed", "overloaded", "unavailable"]
_FAILURES: Final[Mapping[Failure, type[AntiphonError]]] = MappingProxyType(
    {"failed": EngineFailed, "overloaded": Overloaded, "unavailable": EngineUnavailable}
)


class Group(Message):
    """Events of one generation, in order, and where they come from."""

    replica: str
    produced: list[Produced]
    stats: EngineStats
    failure: Failure | None = None
    """Why nothing follows."""


class Report(Message):
    """A replica's state."""

    replica: str
    stats: EngineStats


decode_group = msgspec.msgpack.Decoder(Group).decode
decode_report = msgspec.msgpack.Decoder(Report).decode
encode = msgspec.msgpack.Encoder().encode


def produced(event: EngineEvent) -> Produced:
    """An event as it travels."""
    if isinstance(event, TokenDelta):
        return Produced("", event.choice, event.token_ids, event.logprobs, None, event.cached_tokens)
    if isinstance(event, PromptScores):
        return Produced("", 0, (), (), None, 0, event.logprobs)
    return Produced("", event.choice, (), (), event.reason, event.cached_tokens)


def failure_of(error: AntiphonError) -> Failure:
    """The word for an error that ends a generation."""
    return next((word for word, kind in _FAILURES.items() if isinstance(error, kind)), "failed")


def error_of(failure: Failure) -> AntiphonError:
    """The error for a word."""
    return _FAILURES[failure]()


def group_pause_s(streams: int, cpus: int) -> float:
    """Seconds between two groups of a stream, so that those of all streams take a twentieth of `cpus`.

    With few streams, or many cores, groups come as often as a person could tell apart.
    """
    enough = streams * _GROUP_COST_S / (_GROUPS_SHARE * cpus)
    return min(max(enough, _LEAST_PAUSE_S), _LONGEST_PAUSE_S)


async def grouped(items: AsyncIterator[T], pause_s: Callable[[], float]) -> AsyncGenerator[list[T], None]:
    """All that has come, the first at once, then at least `pause_s()` apart; ends or raises as `items`."""
    waiting: asyncio.Queue[T | None] = asyncio.Queue()
    feeder = asyncio.create_task(_feed(items, waiting))
    try:
        while (item := await waiting.get()) is not None:
            group = [item]
            while not waiting.empty() and (item := waiting.get_nowait()) is not None:
                group.append(item)
            yield group
            if item is None:
                break
            await asyncio.wait([feeder], timeout=pause_s())
        await feeder
    finally:
        feeder.cancel()
        await asyncio.wait([feeder])


async def _feed(items: AsyncIterator[T], waiting: asyncio.Queue[T | None]) -> None:
    try:
        async for item in items:
            waiting.put_nowait(item)
    finally:
        waiting.put_nowait(None)
