"""What a benchmark runs: which workload at which concurrency, grouped by the load a server is started for.

Invariant: a plan holds each (workload, concurrency) once; groups run from the lightest load up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bench.workloads import KINDS

DEFAULT_CONCURRENCY: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {"chat": (1, 8, 16, 32), "prefix": (4,), "turns": (8,), "json": (1, 8), "n8": (1,), "mixed": (8,)}
)
QUICK_CONCURRENCY: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {"chat": (1, 8), "prefix": (2,), "turns": (2,), "json": (2,), "n8": (1,), "mixed": (2,)}
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One workload at one concurrency."""

    workload: str
    concurrency: int

    @property
    def sequences(self) -> int:
        """Sequences that run at once."""
        return self.concurrency * KINDS[self.workload].choices


SPARED: Final[Mapping[str, frozenset[Cell]]] = MappingProxyType(
    {"llama-default": frozenset({Cell("chat", 1), Cell("chat", 8)})}
)
"""Of these servers a run with nothing chosen measures only these cells: all would take too long."""


@dataclass(frozen=True, slots=True)
class Group:
    """Cells for which a server is started once."""

    sequences: int
    cells: tuple[Cell, ...]

    @property
    def sequence_tokens(self) -> int:
        """Room that the longest sequence of any cell needs."""
        return max(KINDS[cell.workload].sequence_tokens for cell in self.cells)


def make_plan(
    workloads: Sequence[str], concurrency: Sequence[int], defaults: Mapping[str, Sequence[int]]
) -> list[Group]:
    """The groups of these workloads, at these concurrencies or, with none given, at their defaults."""
    cells = [Cell(name, clients) for name in workloads for clients in (concurrency or defaults[name])]
    sizes = sorted({cell.sequences for cell in cells})
    return [Group(size, tuple(cell for cell in cells if cell.sequences == size)) for size in sizes]
