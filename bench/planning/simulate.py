"""Many replicas under one router in simulated time.

Sessions come, each turn is sent to the replica that the policy chooses, the next turn comes a pause
after the answer's end. Only requests that come after the warm-up count.

Invariant: equal arguments give equal outcomes; every request that was sent ends or is refused.
"""

import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from antiphon.core.generation import GenerationRequest
from antiphon.engine.pages import prefix_names
from antiphon.engine.scheduler import QueueFull
from bench.figures import quantile
from bench.planning.replica import Engine, Replica, Spoke
from bench.planning.routing import OURS, POLICIES
from bench.planning.traffic import TEMPLATE_TOKENS, Session

_ROUTE_PAGES = 256


@dataclass(frozen=True, slots=True)
class Setup:
    """What is simulated."""

    engine: Engine
    replicas: int
    policy: str
    seconds: float
    """For how long sessions come."""
    warm_up_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What clients would see. Times are seconds."""

    requests: int
    refused: int
    tokens_per_s: float
    requests_per_s: float
    first_token_p50_s: float | None
    first_token_p95_s: float | None
    first_token_p99_s: float | None
    token_p50_s: float | None
    """Between two tokens of an answer, the mean of each answer."""
    token_p95_s: float | None
    hit_rate: float
    """Share of prompt tokens that were in the cache."""
    busiest: float
    """Requests that the busiest replica got, as a multiple of the mean."""


@dataclass(slots=True)
class _Flight:
    """A request on its way."""

    session: Session
    turn: int
    replica: str
    sent: float
    first: float = 0.0
    history: list[int] = field(default_factory=list)


def simulate(setup: Setup, sessions: Iterable[Session]) -> Outcome:
    """Run to the end of the last request."""
    simulation = _Simulation(setup, iter(sessions), iter(()))
    simulation.await_session()
    simulation.run()
    return simulation.outcome(setup.seconds - setup.warm_up_s)


def simulate_clients(engine: Engine, sessions: Iterable[Session], clients: int) -> Outcome:
    """One replica and so many clients, each of which begins a session when its last one is over."""
    simulation = _Simulation(Setup(engine, 1, OURS, math.inf, 0.0), iter(()), iter(sessions))
    for _ in range(clients):
        simulation.begin_session(0.0)
    simulation.run()
    return simulation.outcome(simulation.now)


class _Simulation:
    def __init__(self, setup: Setup, sessions: Iterator[Session], following: Iterator[Session]) -> None:
        """`sessions` come by themselves, each of those `following` when another is over."""
        self._setup = setup
        self._sessions = sessions
        self._following = following
        self.now = 0.0
        self._replicas = {f"{n:04}": Replica(f"{n:04}", setup.engine) for n in range(setup.replicas)}
        self._loads = dict.fromkeys(self._replicas, 0)
        self._choose = POLICIES[setup.policy]()
        self._events: list[tuple[float, int, _Flight | Session | Replica]] = []
        self._order = itertools.count()
        self._flights: dict[str, _Flight] = {}
        self._sent: dict[str, int] = defaultdict(int)
        self._firsts: list[float] = []
        self._gaps: list[float] = []
        self._tokens = self._ended = self._refused = 0
        self._prompt_tokens = self._cached_tokens = 0

    def run(self) -> None:
        while self._events:
            self.now, _, what = heapq.heappop(self._events)
            now = self.now
            if isinstance(what, Session):
                self.await_session()
                self._send(now, _Flight(what, 0, "", now, history=list(what.system)))
            elif isinstance(what, _Flight):
                self._send(now, what)
            else:
                self._step(now, what)

    def _at(self, when: float, what: "_Flight | Session | Replica") -> None:
        heapq.heappush(self._events, (when, next(self._order), what))

    def await_session(self) -> None:
        session = next(self._sessions, None)
        if session is not None and session.comes_s < self._setup.seconds:
            self._at(session.comes_s, session)

    def begin_session(self, now: float) -> None:
        session = next(self._following, None)
        if session is not None:
            self._at(now, session)

    def _send(self, now: float, flight: _Flight) -> None:
        turn = flight.session.turns[flight.turn]
        flight.history += [*range(TEMPLATE_TOKENS), *turn.message]
        key = f"{flight.session.number}-{flight.turn}"
        request = GenerationRequest(key, tuple(flight.history), turn.answer)
        page_tokens = self._setup.engine.page_tokens
        names = prefix_names(request.prompt, page_tokens, request.cache_salt, _ROUTE_PAGES)
        flight.sent, flight.replica = now, self._choose(names, flight.session.number, self._loads)
        replica = self._replicas[flight.replica]
        try:
            replica.add(request)
        except QueueFull:
            self._refused += 1
            return
        self._flights[key] = flight
        self._loads[flight.replica] += 1
        self._sent[flight.replica] += 1
        if not replica.stepping:
            self._begin(now, replica)

    def _begin(self, now: float, replica: Replica) -> None:
        seconds = replica.begin(now)
        if seconds is not None:
            self._at(now + seconds, replica)

    def _step(self, now: float, replica: Replica) -> None:
        for spoke in replica.finish():
            self._note(now, spoke, replica)
        self._begin(now, replica)

    def _note(self, now: float, spoke: Spoke, replica: Replica) -> None:
        self._tokens += self._setup.warm_up_s <= now <= self._setup.seconds
        flight = self._flights[spoke.key]
        counts = flight.sent >= self._setup.warm_up_s
        if spoke.first:
            flight.first = now
            if counts:
                request = replica.scheduler.requests[spoke.key]
                self._firsts.append(now - flight.sent)
                self._prompt_tokens += len(request.spec.prompt)
                self._cached_tokens += request.cached_tokens or 0
        if spoke.last:
            self._end(now, self._flights.pop(spoke.key), counts)

    def _end(self, now: float, flight: _Flight, counts: bool) -> None:
        self._loads[flight.replica] -= 1
        turn = flight.session.turns[flight.turn]
        if counts:
            self._ended += 1
            self._gaps.append((now - flight.first) / max(1, turn.answer - 1))
        if flight.turn + 1 < len(flight.session.turns) and now + turn.think_s < self._setup.seconds:
            flight.turn += 1
            # What was said is quoted; these tokens are like no others.
            flight.history += [TEMPLATE_TOKENS, *((7 * n + flight.turn) % 251 for n in range(turn.answer))]
            self._at(now + turn.think_s, flight)
        else:
            self.begin_session(now)

    def outcome(self, window: float) -> Outcome:
        mean = sum(self._sent.values()) / len(self._replicas)
        return Outcome(
            requests=self._ended,
            refused=self._refused,
            tokens_per_s=self._tokens / window,
            requests_per_s=self._ended / window,
            first_token_p50_s=quantile(self._firsts, 0.5),
            first_token_p95_s=quantile(self._firsts, 0.95),
            first_token_p99_s=quantile(self._firsts, 0.99),
            token_p50_s=quantile(self._gaps, 0.5),
            token_p95_s=quantile(self._gaps, 0.95),
            hit_rate=self._cached_tokens / self._prompt_tokens if self._prompt_tokens else 0.0,
            busiest=max(self._sent.values(), default=0) / mean if mean else 0.0,
        )
