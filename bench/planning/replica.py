"""One engine in simulated time: the real scheduler and its pages; a step takes what the fit says.

It mirrors `engine.loop` without a model: what is planned is computed, what draws gets a token.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from antiphon.core.generation import GenerationRequest
from antiphon.engine.pages import PagePool
from antiphon.engine.scheduler import PlannedSlice, Scheduler, SchedulerOptions
from bench.planning.steps import StepTimes

_EMPTY_PLANS = 16
"""A plan may be empty where pages ran out and were given back; the next one is not."""
_OBSERVED_EVERY = 8


@dataclass(frozen=True, slots=True)
class Spoke:
    """A request got a token."""

    key: str
    first: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Engine:
    """What replicas are like."""

    times: StepTimes
    pages: int
    page_tokens: int


class Replica:
    """Steps when it is told to; it has no clock."""

    def __init__(self, name: str, engine: Engine) -> None:
        """Nothing runs and nothing is cached."""
        self.name = name
        self._times = engine.times
        options = SchedulerOptions(draft_tokens=0)  # its tokens mean nothing
        self.scheduler = Scheduler(PagePool(engine.pages), engine.page_tokens, options)
        self._plan: list[PlannedSlice] = []
        self._steps = 0
        self._mixed = True

    @property
    def stepping(self) -> bool:
        """Whether a step is under way."""
        return bool(self._plan)

    def add(self, request: GenerationRequest) -> None:
        """A request comes.

        Raises:
            QueueFull: too many wait.
        """
        self.scheduler.add(request)

    def begin(self, now: float) -> float | None:
        """Plan a step; how many seconds it will take, or None where there is nothing to do."""
        for _ in range(_EMPTY_PLANS):
            self._plan = self.scheduler.plan(now)
            self.scheduler.copies.clear()
            if self._plan or not self.scheduler.requests:
                break
        if not self._plan:
            return None
        decodes = sum(1 for planned in self._plan if not planned.sequence.behind)
        others = sum(planned.count for planned in self._plan) - decodes
        seconds = self._times.seconds(decodes, others)
        self._observe(decodes, others, seconds)
        return seconds

    def _observe(self, decodes: int, others: int, seconds: float) -> None:
        """What the engine's loop tells the pacer; of decoding alone, which follows a formula here, a part."""
        self._steps += 1
        if others or self._mixed or self._steps % _OBSERVED_EVERY == 0:
            self.scheduler.pacer.observe(decodes, others, seconds)
        self._mixed = bool(others)

    def finish(self) -> Iterator[Spoke]:
        """The step is over."""
        plan, self._plan = self._plan, []
        for planned in plan:
            self.scheduler.computed(planned)
        for sequence in [planned.sequence for planned in plan if planned.draws]:
            self.scheduler.fork(sequence.request)
            self.scheduler.advance(sequence, 0)
            last = sequence.generated == sequence.request.spec.max_tokens
            yield Spoke(sequence.request.key, sequence.generated == 1, last)
            if last:
                self.scheduler.end(sequence)
