"""What traced requests go through in the engine, by this process's own wall clock.

A request that carries no `traceparent` costs one comparison here and is not remembered.

Invariant: a request is in one phase at a time; each phase that it entered is reported once, when it
left it.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from antiphon.core.generation import EnginePhase, GenerationRequest, PhaseEnd, PhaseName


@dataclass(frozen=True, slots=True)
class _Entered:
    traceparent: str
    name: PhaseName
    at_ns: int


class PhaseRecorder:
    """Collects the phases that have ended, until they are taken."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        """`clock_ns` gives nanoseconds since 1970."""
        self._clock_ns = clock_ns
        self._pid = os.getpid()
        self._entered: dict[str, _Entered] = {}
        self._left: list[EnginePhase] = []

    def enter(self, request: GenerationRequest, name: PhaseName, tokens: int = 0, cached: int = 0) -> None:
        """The request goes on to this phase, unless it is in it; the counts are of what it leaves."""
        if not request.traceparent:
            return
        before = self._entered.get(request.id)
        if before is not None and before.name == name:
            return
        now = self._clock_ns()
        if before is not None:
            self._report(before, now, "went_on", (tokens, cached))
        self._entered[request.id] = _Entered(request.traceparent, name, now)

    def leave(self, key: str, end: PhaseEnd, tokens: int = 0) -> None:
        """The request is over, with so many tokens generated. Unknown keys are ignored."""
        last = self._entered.pop(key, None)
        if last is not None:
            self._report(last, self._clock_ns(), end, (tokens, 0))

    def take(self) -> list[EnginePhase]:
        """What has ended since this was last called."""
        taken, self._left = self._left, []
        return taken

    def _report(self, phase: _Entered, now: int, end: PhaseEnd, counts: tuple[int, int]) -> None:
        tokens, cached = counts
        self._left.append(
            EnginePhase(
                phase.traceparent,
                phase.name,
                phase.at_ns,
                max(now, phase.at_ns),
                self._pid,
                end=end,
                tokens=tokens,
                cached_tokens=cached,
            )
        )
