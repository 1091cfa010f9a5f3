"""Results of the engine's own experiments, apart from the comparison with peers: one file each.

Invariant: a file holds the command, the commit and the machine beside the raw numbers.
"""

import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench import machine
from bench.results import FOLDER


@dataclass(frozen=True, slots=True)
class Kept:
    """One experiment."""

    about: str
    date: str
    command: list[str]
    commit: str
    machine: dict[str, Any]
    found: Any


def write(name: str, about: str, found: Any, part: str) -> Path:
    """Write what was found to a file named by its date and name, in the folder of its part."""
    kept = Kept(about, machine.now(), [*sys.orig_argv], machine.git_commit(), machine.machine_notes(), found)
    folder = FOLDER / part
    folder.mkdir(parents=True, exist_ok=True)
    stamp = re.sub(r"[^0-9T]", "", kept.date.partition("+")[0])
    path = folder / f"{stamp}-{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(asdict(kept)), indent=1))
    return path


def keep(name: str, about: str, found: Any) -> Path:
    """Write what an experiment with the engine found, and show it."""
    path = write(name, about, found, "engine")
    sys.stdout.write(f"{path.read_text()}\nWritten to {path}\n")
    return path
