"""The results file: what was measured, on what, by which command. The only source of published numbers."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.figures import Figures
from bench.micro.found import Micro

FOLDER = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class Result:
    """One workload at one concurrency on one server in one round."""

    round: int
    server: str
    workload: str
    concurrency: int
    figures: Figures


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run."""

    name: str
    date: str
    command: list[str]
    commit: str
    machine: dict[str, Any]
    model: dict[str, Any]
    threads: int
    servers: dict[str, dict[str, str]]
    results: list[Result] = field(default_factory=list)
    micro: Micro | None = None
    """The micro-benchmarks, if they were run beside."""


def save(results: Results, folder: Path = FOLDER) -> Path:
    """Write a run to a file named by its date and name."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = re.sub(r"[^0-9T]", "", results.date.partition("+")[0])
    path = folder / f"{stamp}-{results.name}.json"
    path.write_bytes(
        msgspec.json.format(msgspec.json.encode(_rounded(msgspec.to_builtins(results))), indent=1)
    )
    return path


def load(path: Path) -> Results:
    """Read a run back.

    Raises:
        msgspec.MsgspecError: it is not a results file.
    """
    return msgspec.json.decode(path.read_bytes(), type=Results)


def newest(folder: Path = FOLDER) -> Path | None:
    """The run with the latest date."""
    return max(folder.glob("*.json"), default=None)


def _rounded(value: Any) -> Any:
    """Floats to six digits after the point: microseconds."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
