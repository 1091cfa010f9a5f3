"""What the assistant says, as it says it: the events of one completion.

Invariant: per choice any number of `ReasoningDelta`s, then of `TextDelta`s, then the calls, one after
the other, each one `ToolCallStarted` and its `ToolArgumentsDelta`s; then one `ChoiceEnded`; then one
`Completed` for the whole. A completion that cannot go on ends in one `Failed` instead, and nothing
follows.
"""

from dataclasses import dataclass
from typing import Literal

from antiphon.core.errors import AntiphonError

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class AlternativeToken:
    """One candidate at a position: its text, exact bytes and natural-log probability."""

    text: str
    raw: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token with its logprob and, best first, the likeliest candidates there."""

    text: str
    raw: bytes
    logprob: float | None
    """None: the first token of an echoed prompt."""
    top: tuple[AlternativeToken, ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of one choice. Never splits a character; never contains part of a stop string.

    `tokens` scores exactly the text of this delta where logprobs were asked for, else is empty.
    """

    choice: int
    text: str
    tokens: tuple[ScoredToken, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of what a choice thinks before it answers. Never splits a character."""

    choice: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A choice begins to call a tool; the choice's calls are numbered from 0."""

    choice: int
    index: int
    id: str
    """Unique; letters and digits."""
    name: str
    custom: bool = False
    """It is a custom tool: what follows is its input, not JSON."""


@dataclass(frozen=True, slots=True)
class ToolArgumentsDelta:
    """More of the JSON text of a call's arguments, or of the input of a custom tool."""

    choice: int
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ChoiceEnded:
    """A choice is complete."""

    choice: int
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of the whole completion: the prompt once, the completion summed over choices."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    """Of the completion's tokens, those that were thought."""


@dataclass(frozen=True, slots=True)
class Completed:
    """Every choice has ended."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Failed:
    """The completion cannot go on; `error` says what the client may know of it."""

    error: AntiphonError


AnswerEvent = ReasoningDelta | TextDelta | ToolCallStarted | ToolArgumentsDelta | ChoiceEnded | Completed
"""The events of an answer that goes well."""

AssistantEvent = AnswerEvent | Failed
