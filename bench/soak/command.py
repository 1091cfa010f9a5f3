"""`python -m bench soak`: starts a server, uses it, prints a verdict and keeps the numbers.

With `--kill-every` the engine is killed now and then: answers may then end in an honest error, but
still none may be wrong.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console

from bench import machine
from bench.results import FOLDER
from bench.servers.peer import launch_command
from bench.servers.process import Running, running
from bench.soak.drive import Tally, Use, drive
from bench.soak.watch import Slope, Watch, engines

_SETTINGS = ("--log-level", "error", "--kv-cache-mib", "128")
"""A KV cache that is filled soon, so that growth behind that is a leak."""


@dataclass(frozen=True, slots=True)
class Soak:
    """A run as it is kept."""

    date: str
    command: list[str]
    commit: str
    machine: dict[str, object]
    outcomes: dict[str, dict[str, int]]
    reasons: dict[str, int]
    control: dict[str, float]
    slopes: dict[str, Slope]
    kills: int
    verdicts: dict[str, bool]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--minutes", type=float, default=30.0, help="%(default)s")
    parser.add_argument("--rate", type=float, default=1.5, help="requests per second (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is asked (%(default)s)")
    parser.add_argument("--kill-every", type=float, default=0.0, metavar="S", help="kill the engine so often")
    parser.add_argument("--model", default="smollm2-135m", help="%(default)s")
    parser.add_argument("--fake", action="store_true", help="the fake engine: the server's own part alone")


def soak(options: argparse.Namespace, console: Console) -> Soak:
    """Run it; the verdicts say whether all went well."""
    with _server(options) as server:
        tally, watch, kills = asyncio.run(_use(options, server))
    found = Soak(
        date=machine.now(),
        command=["python", "-m", "bench", *sys.argv[1:]],
        commit=machine.git_commit(),
        machine=machine.machine_notes(),
        outcomes={name: dict(counts) for name, counts in tally.outcomes.items()},
        reasons=dict(tally.reasons),
        control=_control(tally),
        slopes={
            "server" if pid == server.pid else f"child {pid}": slope for pid, slope in watch.slopes().items()
        },
        kills=kills,
        verdicts=_verdicts(tally, kills),
    )
    _show(found, console)
    return found


def save(found: Soak, folder: Path = FOLDER / "soak") -> Path:
    """Keep a run beside the benchmark's."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found.date.partition('+')[0].replace('-', '').replace(':', '')}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    return path


@contextlib.contextmanager
def _server(options: argparse.Namespace) -> Iterator[Running]:
    engine = ["--engine", "fake"] if options.fake else []
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder, "store.db"))
        command = [sys.executable, "-m", "antiphon", "serve", "--port", "{port}", "--store", store]
        with running(launch_command([*command, *_SETTINGS, *engine, options.model])) as server:
            yield server


async def _use(options: argparse.Namespace, server: Running) -> tuple[Tally, Watch, int]:
    target = server.target
    watch, kills = Watch(server.pid), list[int]()
    watching = asyncio.create_task(watch.run())
    killing = asyncio.create_task(_kill_engines(server.pid, options.kill_every, kills))
    url = f"http://{target.host}:{target.port}"
    tally = await drive(Use(url, target.model, options.minutes * 60, options.rate, options.seed))
    killing.cancel()
    watching.cancel()
    return tally, watch, len(kills)


async def _kill_engines(root: int, every: float, kills: list[int]) -> None:
    """Kill the engine so often, noting which process it was; never, if that is 0."""
    while every:
        await asyncio.sleep(every)
        for pid in engines(root):
            os.kill(pid, signal.SIGKILL)
            kills.append(pid)


def _control(tally: Tally) -> dict[str, float]:
    """Latency of the repeated request, early and late in the run, in seconds."""
    taken = tally.control_s
    if len(taken) < 8:
        return {"count": len(taken)}
    early, late = np.array_split(np.array(taken), 2)
    return {
        "count": len(taken),
        "texts": len(tally.control_texts),
        "early_p50": float(np.median(early)),
        "late_p50": float(np.median(late)),
        "p99": float(np.quantile(taken, 0.99)),
    }


def _verdicts(tally: Tally, kills: int) -> dict[str, bool]:
    return {
        "no answer was wrong": tally.total("wrong") == 0,
        "no answer was broken, unless the engine was killed": kills > 0 or tally.total("broken") == 0,
        "the same seed gave the same answer every time": len(tally.control_texts) == 1,
    }


def _show(found: Soak, console: Console) -> None:
    for name, counts in found.outcomes.items():
        console.print(f"{name:<12} {'  '.join(f'{key} {value}' for key, value in sorted(counts.items()))}")
    for reason, count in found.reasons.items():
        console.print(f"  {count} x {reason}", markup=False)
    console.print(f"control: {found.control}")
    for name, slope in found.slopes.items():
        console.print(
            f"{name}: {slope.mib:.0f} MiB, {slope.mib_per_hour:+.0f} ± {slope.uncertainty:.0f} MiB an hour, "
            f"files {slope.files[0]} -> {slope.files[1]}"
        )
    for verdict, held in found.verdicts.items():
        console.print(f"{'yes' if held else 'NO '} {verdict}")
