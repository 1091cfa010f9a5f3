"""The scheduler in simulated time: long mixed loads, crowded pages, long prompts beside streams.

No model runs. A step takes what a formula says, tokens are counted instead of drawn, and after every
step pages must add up.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random

import pytest

from antiphon.core.generation import GenerationRequest
from antiphon.engine.pages import PagePool
from antiphon.engine.scheduler import PlannedSlice, Scheduler, SchedulerOptions
from antiphon.engine.sequence import SequenceState, State

PAGE_TOKENS = 32


@dataclass
class Simulation:
    """A scheduler, a clock, and what each choice has brought when."""

    pages: int
    options: SchedulerOptions = field(default_factory=SchedulerOptions)
    now: float = 0.0
    spoke: dict[SequenceState, list[float]] = field(default_factory=dict)
    ends: dict[SequenceState, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing runs yet."""
        self.pool = PagePool(self.pages)
        self.scheduler = Scheduler(self.pool, PAGE_TOKENS, self.options)

    def add(self, key: str, prompt: list[int], max_tokens: int, **others: object) -> None:
        """A request comes."""
        spec = GenerationRequest(key, tuple(prompt), max_tokens)
        request = self.scheduler.add(replace(spec, **others))  # type: ignore[arg-type]
        for sequence in request.sequences:
            self.spoke[sequence], self.ends[sequence] = [], 0

    def step(self) -> None:
        """One step: 8 ms, 1 ms for each sequence and 0.4 ms for each further token."""
        plan = self.scheduler.plan(self.now)
        decodes = sum(not p.sequence.behind for p in plan)
        others = sum(p.count for p in plan) - decodes
        seconds = 0.008 + 0.001 * decodes + 0.0004 * others if plan else 0.001
        self.scheduler.pacer.observe(decodes, others, seconds)
        self.now += seconds
        for planned in plan:
            self.scheduler.computed(planned)
        for planned in plan:
            if planned.draws:
                self._draw(planned)
        self.check()

    def check(self) -> None:
        """Each page is free, idle, or held by running sequences as often as they list it."""
        counts = self.pool.counts()
        lists = [s.pages for s in self.scheduler.running]
        assert len({page for pages in lists for page in pages}) == counts.held
        assert counts.free + counts.idle + counts.held == self.pages

    def silences(self) -> list[float]:
        """For each choice the longest time between two of its tokens."""
        return [max((b - a for a, b in pairwise(t)), default=0.0) for t in self.spoke.values()]

    def _draw(self, planned: PlannedSlice) -> None:
        first = planned.sequence
        forked = [] if first.choice or first.request.prefilled else first.request.sequences[1:]
        self.scheduler.fork(first.request)
        for sequence in [first, *(s for s in forked if s.state is State.RUNNING)]:
            self._speak(sequence)

    def _speak(self, sequence: SequenceState) -> None:
        self.scheduler.advance(sequence, 1 + sequence.generated % 7)
        self.spoke[sequence].append(self.now)
        if sequence.generated == sequence.request.spec.max_tokens:
            self.ends[sequence] += 1
            self.scheduler.end(sequence)


def words(chance: Random, count: int) -> list[int]:
    """A prompt that begins like every fourth other one."""
    return [
        *([chance.randrange(4)] * (count // 2)),
        *(chance.randrange(1000) for _ in range(count - count // 2)),
    ]


@pytest.mark.parametrize(
    ("pages", "steps"), [(24, 10_000), pytest.param(60, 100_000, marks=pytest.mark.slow)]
)
def test_long_mixed_load_loses_no_page_and_ends_everybody_once(pages: int, steps: int) -> None:
    """Arrivals, cancels, choices, priorities and preemption, step by step."""
    chance = Random(pages)
    simulation = Simulation(pages, SchedulerOptions(max_running=12, headroom_tokens=8, max_waiting=10**6))
    scheduler, cancelled = simulation.scheduler, set()
    for number in range(steps):
        if len(scheduler.requests) < 14 and chance.random() < 0.3:
            simulation.add(
                f"{number}",
                words(chance, chance.randrange(1, 160)),
                chance.randrange(1, 200),
                choices=chance.choice([1, 1, 1, 2, 4]),
                priority=chance.choice([-1, 0, 0, 1]),
            )
        if scheduler.requests and chance.random() < 0.02:
            key = chance.choice(sorted(scheduler.requests))
            cancelled |= {s for s in scheduler.requests[key].sequences if s.state is not State.ENDED}
            scheduler.cancel(key)
        simulation.step()
    while scheduler.requests:
        simulation.step()

    assert scheduler.counters.preemptions > 100
    assert simulation.pool.counts().held == 0
    assert (scheduler.running, scheduler.waiting) == ([], [])
    assert {ends for sequence, ends in simulation.ends.items() if sequence not in cancelled} == {1}
    assert {ends for sequence, ends in simulation.ends.items() if sequence in cancelled} == {0}


@pytest.mark.parametrize(("count", "prompt", "answer"), [(24, 100, 400), (10, 100, 900), (40, 20, 280)])
def test_at_four_times_the_capacity_everybody_ends_and_no_stream_is_silent(
    count: int, prompt: int, answer: int
) -> None:
    """Prompts and answers need four times the pages: streams take turns, none waits for five seconds."""
    pages = count * (prompt + answer) // PAGE_TOKENS // 4
    simulation = Simulation(pages)
    for number in range(count):
        simulation.add(f"{number}", [number] * prompt, answer)
    steps = 0
    while simulation.scheduler.requests:
        simulation.step()
        steps += 1
        assert steps < 100_000

    assert set(simulation.ends.values()) == {1}
    assert max(simulation.silences()) < 5.0


def test_prompt_of_most_of_the_context_does_not_stall_streams() -> None:
    """Beside 8 streams 7,400 prompt tokens are computed, and no gap is over three times the usual one."""
    simulation = Simulation(1000)
    for number in range(8):
        simulation.add(f"{number}", [number] * 50, 600)
    for _ in range(60):
        simulation.step()
    usual = simulation.now
    simulation.step()
    usual = simulation.now - usual
    began = simulation.now
    simulation.add("long", list(range(7400)), 10)
    long = simulation.scheduler.requests["long"].sequences[0]
    while not simulation.spoke[long]:
        simulation.step()
    streams = [times for sequence, times in simulation.spoke.items() if sequence is not long]
    during = [[t for t in times if t >= began] for times in streams]
    gaps = [b - a for times in during for a, b in pairwise(times)]

    assert max(gaps) <= 3.05 * usual


def overtakers(simulation: Simulation, priority: int, count: int) -> None:
    """Requests of one priority, each a page long."""
    for number in range(count):
        key = f"{priority}:{number}:{len(simulation.spoke)}"
        simulation.add(key, [number] * 20, 8, priority=priority)


def test_priorities_order_the_queue() -> None:
    """Those ahead go first, those behind last, equals in the order they came."""
    simulation = Simulation(64, SchedulerOptions(max_running=1))
    for priority in (0, -1, 1, 0, 1):
        overtakers(simulation, priority, 1)
    began = [s.request.spec.priority for s in simulation.scheduler.waiting]

    assert began == [1, 1, 0, 0, -1]
    assert [s.request.key for s in simulation.scheduler.waiting][2:4] == ["0:0:0", "0:0:3"]


def test_overtaking_is_bounded_so_nobody_starves() -> None:
    """However many priority requests keep coming, one behind runs once its bound of them has passed."""
    simulation = Simulation(64, SchedulerOptions(max_running=2, overtaking=10, max_waiting=1000))
    simulation.add("patient", [5] * 20, 8, priority=-1)
    patient = simulation.scheduler.requests["patient"].sequences[0]
    overtakers(simulation, 1, 2)
    later = 0
    while not simulation.spoke[patient]:
        overtakers(simulation, 1, 1)
        later += 1
        simulation.step()
        assert later < 1000

    began = [s for s, times in simulation.spoke.items() if times and times[0] < simulation.spoke[patient][0]]
    assert len(began) <= 2 + 2 * 10 + 2
