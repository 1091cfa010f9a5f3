"""A completion that outlives its request, and how stored ones are asked for.

The answer is kept as its events, those of one choice joined: whatever folds a live answer folds a
stored one to the same result. Of the request, `facts` and `messages` are JSON data in the words of
the API that took it; nobody but that API reads them.

Invariant: values are immutable; a completion belongs to one project for ever.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from antiphon.core.events import (
    AnswerEvent,
    Completed,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
)

Order = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a completion is to be stored, known before it is generated."""

    project: str
    """Whose it is: only requests of the same project ever see it."""
    request_id: str
    messages: Sequence[object]
    """The conversation as the client sent it."""
    facts: Mapping[str, object]
    """What else of the request the stored completion repeats."""
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoredCompletion:
    """A finished completion with the request that led to it."""

    id: str
    """Bare, as `Completion.id`."""
    created: int
    """Unix seconds."""
    model: str
    fingerprint: str
    choices: int
    seed: int
    """The one that was drawn, where the client gave none."""
    keeping: Keeping
    answer: tuple[AnswerEvent, ...]
    """Ends in `Completed`."""


@dataclass(frozen=True, slots=True)
class StoredQuery:
    """Which completions of a project, in which order: by creation, then as they were stored."""

    model: str | None = None
    """Asked for by exactly this name."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Every one of these pairs is among its metadata."""
    after: str | None = None
    """The id of the completion to go on behind; it may have been deleted meanwhile."""
    limit: int = 20
    order: Order = "asc"


@dataclass(frozen=True, slots=True)
class StoredPage:
    """Some of the completions asked for, and whether any come behind them."""

    completions: tuple[StoredCompletion, ...] = ()
    has_more: bool = False


def join_deltas(events: Iterable[AnswerEvent]) -> tuple[AnswerEvent, ...]:
    """The same answer in as few events as can be: choice after choice, what adds to a text joined."""
    in_order = sorted(events, key=_choice_of)
    return tuple(event for _, run in groupby(in_order, key=_text_of) for event in _join(list(run)))


def _choice_of(event: AnswerEvent) -> float:
    return math.inf if isinstance(event, Completed) else event.choice


def _text_of(event: AnswerEvent) -> tuple[type, float, int]:
    """What an event adds to; only deltas share it with their neighbours."""
    index = event.index if isinstance(event, ToolCallStarted | ToolArgumentsDelta) else 0
    return type(event), _choice_of(event), index


def _join(run: Sequence[AnswerEvent]) -> Sequence[AnswerEvent]:
    text = "".join(
        event.text for event in run if isinstance(event, ReasoningDelta | TextDelta | ToolArgumentsDelta)
    )
    match run[0]:
        case ReasoningDelta(choice):
            return [ReasoningDelta(choice, text)]
        case TextDelta(choice):
            tokens = (token for event in run if isinstance(event, TextDelta) for token in event.tokens)
            return [TextDelta(choice, text, tuple(tokens))]
        case ToolArgumentsDelta(choice, index):
            return [ToolArgumentsDelta(choice, index, text)]
        case _:
            return run
