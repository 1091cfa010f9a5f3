"""An answer that is open, whatever it answers: facts known before the first token, then the events.

Invariant: `events` can be closed at any moment, before its start too, and then nothing runs any more.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from types import TracebackType

from antiphon.core.events import AssistantEvent
from antiphon.core.messages import ServiceTier
from antiphon.service.recording import Recording


@dataclass(eq=False, kw_only=True)
class Answer(ABC):
    """An answer that is open: facts that are known before the first token, and its events."""

    id: str
    """Unique; lower-case hexadecimal digits."""
    created: int
    """Unix seconds."""
    model: str
    """The name the client asked for."""
    fingerprint: str
    """Equal fingerprints: the same request and seed give the same answer."""
    choices: int
    seed: int = 0
    """What the choices are drawn with."""
    recording: Recording | None = field(default=None, repr=False)
    """Stores the answer; to be set before `events` is called."""
    tier: ServiceTier = "default"
    """How urgent it was."""

    def events(self) -> AsyncGenerator[AssistantEvent, None]:
        """The events of this answer; once only, and always under `contextlib.aclosing`.

        Closing cancels what still runs, also when no event was taken yet.
        """
        return _Events(self)

    @abstractmethod
    def run(self) -> AsyncGenerator[AssistantEvent, None]:
        """The events; `events` is this plus a close that works before the start."""

    @abstractmethod
    async def aclose(self) -> None:
        """Cancel what still runs and give back what was reserved. Idempotent."""


class _Events(AsyncGenerator[AssistantEvent, None]):
    """`Answer.run`, closable before its start.

    Closing a generator that has not started runs none of it, not even `finally`; a client that
    leaves between the opening and the first event would otherwise hold its lease for ever.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        events = answer.run()
        self._inner = events if answer.recording is None else answer.recording.listen(events)

    async def asend(self, value: None) -> AssistantEvent:
        return await self._inner.asend(value)

    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: object = None,
        tb: TracebackType | None = None,
    ) -> AssistantEvent:
        # With one argument: Python 3.12 deprecates the others.
        return await self._inner.athrow(typ if isinstance(typ, BaseException) else typ())

    async def aclose(self) -> None:
        await self._inner.aclose()
        await self._answer.aclose()
