"""What the vLLM engine's process counts, as `EngineStats`.

Pages, steps' times and preemptions are vLLM's own affair and stay 0; a step is a piece of output.
"""

from collections.abc import Callable, Iterable

from antiphon.core.generation import EngineStats, GenerationRequest
from antiphon.engine.throughput import Throughput


class Figures:
    """Totals from the start of the process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._throughput = Throughput(clock())
        self._last_output = clock()
        self._begun = 0
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._generated_tokens = 0
        self._steps = 0
        self._queued_s = 0.0

    def began(self, request: GenerationRequest, cached_tokens: int, came_at: float) -> None:
        """The first token of a request has come."""
        self._begun += 1
        self._prompt_tokens += len(request.prompt)
        self._cached_tokens += cached_tokens
        self._queued_s += self._clock() - came_at

    def took(self, tokens: int) -> None:
        """A piece has come, with so many tokens for the caller."""
        self._steps += 1
        self._generated_tokens += tokens
        self._last_output = self._clock()

    def resumed(self) -> None:
        """There is something to do again."""
        self._last_output = self._clock()

    def silent_for(self) -> float:
        """Seconds since a piece came, or since there was nothing to do."""
        return self._clock() - self._last_output

    def stats(self, ready: bool, in_hand: Iterable[tuple[GenerationRequest, int, bool]]) -> EngineStats:
        """A snapshot. `in_hand`: requests, how many choices of each are not over, whether they have begun."""
        held = list(in_hand)
        waiting = [(request, choices) for request, choices, begun in held if not begun]
        return EngineStats(
            ready=ready,
            running=sum(choices for _, choices, begun in held if begun),
            waiting=sum(choices for _, choices in waiting),
            waiting_tokens=sum(len(request.prompt) for request, _ in waiting),
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            generated_tokens=self._generated_tokens,
            begun=self._begun,
            queued_s=self._queued_s,
            steps=self._steps,
            tokens_per_s=self._throughput.per_second(self._clock(), self._generated_tokens),
        )
