"""What is asked of the simulation: latency over load, policies over replicas, and the load a setup bears."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from bench.planning.replica import Engine
from bench.planning.routing import OURS, POLICIES
from bench.planning.simulate import Outcome, Setup, simulate
from bench.planning.traffic import SHAPES, Shape, sessions

SIZES = (1, 2, 4, 16, 64, 250, 1000)
LOADS = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
"""Shares of what a replica bears."""
OVERLOADS = (0.75, 2.0, 3.0)
ROUTED = {"chat": (2, 4, 16, 64), "documents": (4, 16)}
"""Replicas for which routing is compared over load, by shape."""
_PLANNED = 0.75
"""The share at which policies are compared: nobody plans for the brink."""
_COMPARED = {"chat": (2, 4), "documents": (4,)}
"""Replicas for which it is found how much they bear, by shape: each takes minutes."""
_REQUESTS = 300
_FEW_REQUESTS = 40
"""What a run has at the least, in all and for each replica."""
_HUGE = 200
_NOTHING = 0.001
"""Sessions a second."""
_MOST = 2000
"""Replicas."""
_HUGE_POLICIES = ("random", OURS)
"""Runs of so many replicas take minutes; the other policies lie between these."""


@dataclass(frozen=True, slots=True)
class Row:
    """One simulated run."""

    shape: str
    policy: str
    replicas: int
    sessions_per_s: float
    """All replicas together."""
    outcome: Outcome


def in_time(outcome: Outcome, limit_s: float) -> bool:
    """Whether first tokens came in time and nobody was refused."""
    first = outcome.first_token_p95_s
    return outcome.refused == 0 and first is not None and first <= limit_s


@dataclass(frozen=True, slots=True)
class Planner:
    """Runs of one kind of engine. What is in time is told in seconds, or by how long a lone request takes."""

    engine: Engine
    first_token_s: float = 0.0
    """What 95 of 100 requests are to be within; 0: twice what they take at next to no load."""

    def run(self, shape: str, policy: str, replicas: int, sessions_per_s: float) -> Row:
        """One run, long enough for its sessions to be at every stage, and shorter with many replicas."""
        kind = SHAPES[shape]
        seconds, warm_up_s = _times(kind, sessions_per_s / replicas, replicas)
        setup = Setup(self.engine, replicas, policy, seconds, warm_up_s)
        return Row(
            shape, policy, replicas, sessions_per_s, simulate(setup, sessions(kind, sessions_per_s, 1))
        )

    def limit_s(self, shape: str) -> float:
        """What 95 of 100 first tokens are to be within."""
        if self.first_token_s:
            return self.first_token_s
        talk = _talk_s(SHAPES[shape])
        setup = Setup(self.engine, 1, OURS, 1000 * talk, 0)
        alone = simulate(setup, sessions(SHAPES[shape], 1 / (20 * talk), 1))
        return 2 * (alone.first_token_p95_s or 0.0)

    def bears(self, shape: str, policy: str, replicas: int, limit_s: float) -> Row:
        """The most that comes in time, to eight percent.

        Raises:
            ValueError: not even next to nothing does.
        """
        best, high = None, self._too_much(shape, policy, replicas, limit_s)
        low = 0.0
        while high - low > 0.08 * high:
            row = self.run(shape, policy, replicas, (low + high) / 2)
            if in_time(row.outcome, limit_s):
                low, best = row.sessions_per_s, row
            else:
                high = row.sessions_per_s
                if high < _NOTHING * replicas:
                    break
        if best is None:
            raise ValueError(f"{shape}: no load comes within {limit_s:.1f} s")
        return best

    def _too_much(self, shape: str, policy: str, replicas: int, limit_s: float) -> float:
        """Doubled until it is."""
        rate = 0.02 * replicas
        while in_time(self.run(shape, policy, replicas, rate).outcome, limit_s):
            rate *= 2
        return rate

    def least_replicas(self, shape: str, policy: str, sessions_per_s: float) -> Row:
        """The fewest that bear a load.

        Raises:
            ValueError: it would take more than can be simulated.
        """
        low, high, limit_s = 0, 1, self.limit_s(shape)
        while not in_time((row := self.run(shape, policy, high, sessions_per_s)).outcome, limit_s):
            low, high = high, 2 * high
            if high > _MOST:
                raise ValueError(f"{shape}: {low} replicas do not come within {limit_s:.1f} s")
        while high - low > max(1, high // 50):
            middle = (low + high) // 2
            tried = self.run(shape, policy, middle, sessions_per_s)
            if in_time(tried.outcome, limit_s):
                high, row = middle, tried
            else:
                low = middle
        return row


def latency_over_load(planner: Planner, borne: dict[str, float]) -> Iterator[Row]:
    """One replica from a light load to more than it bears."""
    for shape, rate in borne.items():
        for share in LOADS:
            yield planner.run(shape, OURS, 1, share * rate)


def policies_over_replicas(planner: Planner, shape: str, rate: float, most: int) -> Iterator[Row]:
    """The policies at the same load per replica. `rate` is what one replica bears."""
    for replicas in (size for size in SIZES if size <= most):
        for policy in POLICIES if replicas < _HUGE else _HUGE_POLICIES:
            yield planner.run(shape, policy, replicas, _PLANNED * rate * replicas)


def policies_over_load(planner: Planner, shape: str, rate: float, replicas: int) -> Iterator[Row]:
    """Those that follow the cache, at what nobody plans for too. `rate` is what one replica bears."""
    for share in OVERLOADS:
        for policy in ("session hash", "prefix hash", OURS):
            yield planner.run(shape, policy, replicas, share * rate * replicas)


def borne_by_policy(planner: Planner, shape: str, limit_s: float) -> Iterator[Row]:
    """What some replicas bear under each policy; of one that is never in time, nothing."""
    for replicas in _COMPARED[shape]:
        for policy in POLICIES:
            with suppress(ValueError):
                yield planner.bears(shape, policy, replicas, limit_s)


def _talk_s(shape: Shape) -> float:
    """How long a session lasts, about."""
    return shape.turns * (shape.think_s + 5)


def _times(shape: Shape, per_replica: float, replicas: int) -> tuple[float, float]:
    """For how long sessions come, and how much of that is warm-up."""
    talk = _talk_s(shape)
    if replicas >= _HUGE:
        return 1.5 * talk, 0.5 * talk
    wanted = max(_FEW_REQUESTS, _REQUESTS / replicas)
    seconds = min(max(2 * talk, wanted / (per_replica * shape.turns)), 200 * talk)
    return seconds, seconds / 3
