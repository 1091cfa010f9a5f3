"""The results file: what was measured, on what, by which command. The only source of published numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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


def join(runs: Sequence[Results], name: str) -> Results:
    """Runs of one tree on one machine as one run; of rounds that measured the same cell each counts.

    Raises:
        ValueError: they differ in tree, machine, model or threads.
    """
    first, rounds = runs[0], 0
    joined = replace(first, name=name, command=[], servers={}, results=[], micro=None)
    for run in runs:
        if _setting(run) != _setting(first):
            raise ValueError(f"{run.name} was not measured like {first.name}")
        joined.command.extend(["&&"] * bool(joined.command) + run.command)
        joined.servers.update(run.servers)
        joined.results.extend(replace(result, round=result.round + rounds) for result in run.results)
        rounds += 1 + max((result.round for result in run.results), default=0)
        joined = replace(joined, micro=run.micro or joined.micro)
    return joined


def _setting(run: Results) -> tuple[object, ...]:
    """All but the load, which is another before each run."""
    machine = {key: value for key, value in run.machine.items() if key != "load_average"}
    return run.commit, machine, run.model, run.threads


def _rounded(value: Any) -> Any:
    """Floats to six digits after the point: microseconds."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
