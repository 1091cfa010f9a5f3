"""The simulation of one replica beside a real server: the same workloads, with the same closed-loop clients.

Invariant: what is simulated was neither fitted to nor chosen by what the server was measured at.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Final

from bench.figures import medians
from bench.planning.replica import Engine
from bench.planning.simulate import Outcome, simulate_clients
from bench.planning.traffic import VOCABULARY, Session, Turn
from bench.results import Results
from bench.table import OURS
from bench.workloads import ANSWER_TOKENS, CHAT_WORDS, LONG_WORDS

_SYSTEM_TOKENS = 24
"""What the default model's template says first, by itself."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One workload at one number of clients."""

    workload: str
    clients: int
    measured: Mapping[str, float | None]
    """As in `bench.figures`, medians over rounds."""
    simulated: Outcome


def compare(results: Results, engine: Engine) -> Iterator[Compared]:
    """Every cell of the server that the simulation knows the workload of."""
    ours = [r for r in results.results if r.server == OURS and r.workload in _MADE]
    for workload, clients in sorted({(r.workload, r.concurrency) for r in ours}):
        rounds = [r.figures for r in ours if (r.workload, r.concurrency) == (workload, clients)]
        measured = medians(rounds)
        each = _MADE[workload]
        wanted = round(measured["requests"] or 0) // each.turns
        come = (Session(n, 0.0, tuple(range(_SYSTEM_TOKENS)), each.make(n)) for n in range(wanted))
        yield Compared(workload, clients, measured, simulate_clients(engine, come, clients))


@dataclass(frozen=True, slots=True)
class _Workload:
    """As `bench.workloads` makes it."""

    turns: int
    make: Callable[[int], tuple[Turn, ...]]


def _turn(number: int, place: int, words: int) -> Turn:
    chance = Random(f"{number} {place}")
    return Turn(tuple(chance.choices(range(VOCABULARY), k=words)), ANSWER_TOKENS, 0.0)


_MADE: Final[Mapping[str, _Workload]] = MappingProxyType(
    {
        "chat": _Workload(1, lambda n: (_turn(n, 0, CHAT_WORDS),)),
        "turns": _Workload(4, lambda n: tuple(_turn(n, place, CHAT_WORDS) for place in range(4))),
        "mixed": _Workload(1, lambda n: (_turn(n, 0, LONG_WORDS if n % 4 == 1 else CHAT_WORDS),)),
    }
)
