"""Watches what the server's processes hold while it is used: memory that cannot be given back, and files.

Invariant: a slope is told with its uncertainty, since minutes cannot show what hours would.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_INTERVAL_S = 2.0
_WARM_SHARE = 0.4
"""The first part of a run fills caches and is not judged."""
_CONFIDENT = 1.96


@dataclass(frozen=True, slots=True)
class Slope:
    """How fast a process's memory grows once it is warm."""

    mib: float
    """What it held at the end."""
    mib_per_hour: float
    uncertainty: float
    """Half of the 95 % interval, in MiB per hour."""
    files: tuple[int, int]
    """Open files when it was warm, and at the end."""


@dataclass(slots=True)
class Watch:
    """Samples of a process and its children until the task is cancelled."""

    root: int
    samples: dict[int, list[tuple[float, float, int]]] = field(default_factory=dict)
    """By process: (seconds, MiB, open files)."""

    async def run(self) -> None:
        """Take samples; never returns."""
        began = time.monotonic()
        while True:
            for pid in (self.root, *children(self.root)):
                with contextlib.suppress(OSError):  # it has just ended
                    sample = (time.monotonic() - began, _held_mib(pid), _open_files(pid))
                    self.samples.setdefault(pid, []).append(sample)
            await asyncio.sleep(_INTERVAL_S)

    def slopes(self) -> dict[int, Slope]:
        """Of each process that was there long enough to tell."""
        return {pid: _slope(taken) for pid, taken in self.samples.items() if len(taken) >= 20}


def children(root: int) -> list[int]:
    """The direct children of a process."""
    text = Path(f"/proc/{root}/task/{root}/children").read_text()
    return [int(pid) for pid in text.split()]


def engines(root: int) -> list[int]:
    """Those of them that run a model."""
    return [
        pid for pid in children(root) if b"antiphon.engine.host" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def _slope(taken: list[tuple[float, float, int]]) -> Slope:
    warm = taken[int(len(taken) * _WARM_SHARE) :]
    seconds, mib = np.array([s[0] for s in warm]), np.array([s[1] for s in warm])
    (slope, _), covariance = np.polyfit(seconds, mib, 1, cov=True)
    uncertainty = _CONFIDENT * float(np.sqrt(covariance[0, 0]))
    return Slope(float(mib[-1]), float(slope) * 3600, uncertainty * 3600, (warm[0][2], warm[-1][2]))


def _held_mib(pid: int) -> float:
    """Memory of its own, in RAM or swapped out. Source: proc_pid_status(5)."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap")) / 1024


def _open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
