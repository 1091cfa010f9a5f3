"""What is told of one request as a trace: spans of its exchange, its completion, its time in the engine.

Parts report to what is here and know no library; `telemetry.otel` sends it to a collector. Spans hold
ids, counts, times and this server's own words; never a prompt, an answer, a key, or an exception's text.

Invariant: reporting never fails and never waits. Where traces are off nothing is made, noted or sent.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from antiphon.core.events import Completed, Failed, FinishReason
from antiphon.core.generation import EnginePhase
from antiphon.core.messages import AnswerOptions

Operation = Literal["chat", "text_completion"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an exchange."""

    request_id: str
    method: str
    route: str
    """A template, never a path; `-` where none matched."""
    status: int
    """0: the client got none."""
    error: str = ""
    """The class of the error that was told, if one was."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a completion is to be, before it has an id."""

    operation: Operation
    requested_model: str
    served_model: str
    options: AnswerOptions
    waited_s: float = 0.0
    """How long its request was worked on already."""


class RequestSpan(Protocol):
    """An exchange under way."""

    def answered(self, answered: Answered) -> None:
        """Its answer is complete."""
        ...


class CompletionSpan(Protocol):
    """A completion under way."""

    @property
    def traceparent(self) -> str:
        """Under what the engine's phases belong, in W3C's form; empty where nobody wants them."""
        ...

    def end(self, ending: Completed | Failed, id: str, reasons: Sequence[FinishReason]) -> None:
        """It has ended; `reasons` are its choices', as they were told."""
        ...

    def close(self) -> None:
        """Nobody wants more of it. Without effect behind `end`."""
        ...


class Traces(Protocol):
    """Where spans go."""

    @property
    def on(self) -> bool:
        """Whether anybody wants them."""
        ...

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[RequestSpan]:
        """An exchange, going on with the trace that its headers name. What begins inside is part of it."""
        ...

    def completion(self, asked: Asked) -> CompletionSpan:
        """A completion, part of the exchange that is under way; to be ended or closed."""
        ...

    def engine_phases(self, phases: Sequence[EnginePhase]) -> None:
        """Phases of an engine process that are over."""
        ...

    def close(self) -> None:
        """Send what is left, for a bounded time. Blocks."""
        ...


class _NoCompletionSpan:
    traceparent = ""

    def end(self, ending: Completed | Failed, id: str, reasons: Sequence[FinishReason]) -> None:
        pass

    def close(self) -> None:
        pass


class _NoRequestSpan(AbstractContextManager["_NoRequestSpan"]):
    def __exit__(self, *reason: object) -> None:
        pass

    def answered(self, answered: Answered) -> None:
        pass


class _NoTraces:
    on = False

    def request(self, method: str, headers: Mapping[str, str]) -> _NoRequestSpan:
        return _NO_REQUEST_SPAN

    def completion(self, asked: Asked) -> CompletionSpan:
        return NO_SPAN

    def engine_phases(self, phases: Sequence[EnginePhase]) -> None:
        pass

    def close(self) -> None:
        pass


_NO_REQUEST_SPAN: Final = _NoRequestSpan()
NO_SPAN: Final[CompletionSpan] = _NoCompletionSpan()
NO_TRACES: Final[Traces] = _NoTraces()
"""Off."""
