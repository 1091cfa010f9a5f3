"""`python -m bench plan simulate | size | route | report`."""

import argparse
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console

from bench import results
from bench.micro.kept import Kept, write
from bench.planning.replica import Engine
from bench.planning.report import Routed, Simulated, write_report, write_routes
from bench.planning.routing import OURS, POLICIES
from bench.planning.steps import fit
from bench.planning.sweep import (
    ROUTED,
    SIZES,
    Planner,
    borne_by_policy,
    latency_over_load,
    policies_over_load,
    policies_over_replicas,
)
from bench.planning.traffic import SHAPES
from bench.planning.validation import compare
from bench.results import FOLDER, Results

Found = TypeVar("Found")

_PART = "planning"
_PAGES = 1455
"""What the default gigabyte of KV cache holds of the default model, at `_PAGE_TOKENS` each."""
_PAGE_TOKENS = 32


def add_commands(parser: argparse.ArgumentParser) -> None:
    """The subcommands, each with its function in `command`."""
    commands = parser.add_subparsers(required=True, metavar="simulate | size | route | report")
    simulated = commands.add_parser("simulate", help="latency over load, policies over up to 1,000 replicas")
    simulated.set_defaults(command=_simulate)
    simulated.add_argument("--most", type=int, default=max(SIZES), help="replicas (%(default)s)")
    size = commands.add_parser("size", help="the fewest replicas for a load, and what they cost")
    size.set_defaults(command=_size)
    size.add_argument("--shape", choices=SHAPES, default="chat")
    size.add_argument("--requests-per-s", type=float, required=True)
    size.add_argument("--policy", choices=POLICIES, default=OURS)
    size.add_argument("--core-hour", type=float, default=0.0, metavar="PRICE", help="of one core for an hour")
    size.add_argument("--slower", type=float, default=1.0, help="every step takes so many times as long")
    route = commands.add_parser("route", help="policies that follow the cache, over load")
    route.set_defaults(command=_route)
    for command in (simulated, size, route):
        command.add_argument(
            "--steps", type=Path, metavar="FILE", help="results with micro-benchmarks (the newest)"
        )
        command.add_argument(
            "--first-token-s",
            type=float,
            default=0.0,
            help="for 95 of 100 (twice what it takes without load)",
        )
    report = commands.add_parser("report", help="write docs/concepts/planning.md from the newest simulation")
    report.set_defaults(command=_report)


def _simulate(options: argparse.Namespace, console: Console) -> None:
    file, measured, engine = _engine(options)
    planner = Planner(engine, options.first_token_s)
    compared = list(compare(measured, engine))
    limits = {shape: planner.limit_s(shape) for shape in SHAPES}
    borne = {shape: planner.bears(shape, OURS, 1, limit_s) for shape, limit_s in limits.items()}
    for shape, row in borne.items():
        console.print(
            f"{shape}: one replica bears {row.sessions_per_s:.3f} sessions/s, {limits[shape]:.1f} s"
        )
    rates = {shape: row.sessions_per_s for shape, row in borne.items()}
    loads = list(latency_over_load(planner, rates))
    most = {"chat": options.most, "documents": min(options.most, 16)}
    by_policy = [row for shape in most for row in borne_by_policy(planner, shape, 2 * limits[shape])]
    policies = []
    for shape, replicas in most.items():
        for row in policies_over_replicas(planner, shape, rates[shape], replicas):
            policies.append(row)
            console.print(f"{row.shape} {row.replicas} {row.policy}: {row.outcome}", markup=False)
    found = Simulated(
        steps=file.name,
        times=engine.times,
        limits_s=limits,
        compared=compared,
        borne=list(borne.values()),
        loads=loads,
        policies=policies,
        by_policy=by_policy,
    )
    console.print(f"Written to {write('simulated', 'one to many replicas, by policy', found, _PART)}")


def _route(options: argparse.Namespace, console: Console) -> None:
    file, _, engine = _engine(options)
    planner = Planner(engine, options.first_token_s)
    rates = {row.shape: row.sessions_per_s for row in _newest("simulated", Simulated)[1].borne}
    rows = []
    for shape, sizes in ROUTED.items():
        for replicas in sizes:
            for row in policies_over_load(planner, shape, rates[shape], replicas):
                rows.append(row)
                console.print(f"{row.shape} {row.replicas} {row.policy}: {row.outcome}", markup=False)
    found = Routed(file.name, rates, rows)
    console.print(f"Written to {write('routed', 'policies that follow the cache, over load', found, _PART)}")


def _size(options: argparse.Namespace, console: Console) -> None:
    _, measured, engine = _engine(options)
    slower = Engine(engine.times.slower(options.slower), engine.pages, engine.page_tokens)
    turns = SHAPES[options.shape].turns
    try:
        row = Planner(slower, options.first_token_s).least_replicas(
            options.shape, options.policy, options.requests_per_s / turns
        )
    except ValueError as error:
        raise SystemExit(str(error)) from None
    cores = row.replicas * measured.threads
    per_million = cores / row.outcome.tokens_per_s * 1e6 / 3600
    console.print(
        f"{row.replicas} replicas of {measured.threads} cores: {cores} cores. First token (95 of 100) within "
        f"{row.outcome.first_token_p95_s or 0:.2f} s, {row.outcome.hit_rate:.0%} of prompt tokens cached, "
        f"{per_million:,.1f} core-hours a million tokens"
        + (f", {per_million * options.core_hour:,.2f} at that price" if options.core_hour else "")
    )


def _report(options: argparse.Namespace, console: Console) -> None:
    name, found = _newest("simulated", Simulated)
    write_report(found, results.load(FOLDER / found.steps), name)
    routed_name, routed = _newest("routed", Routed)
    console.print(f"Written to {write_routes(routed, routed_name)}")


def _newest(name: str, kind: type[Found]) -> tuple[str, Found]:
    """The newest results of this name, and in which file below the results' folder they are."""
    file = max((FOLDER / _PART).glob(f"*-{name}.json"), default=None)
    if file is None:
        raise SystemExit(f"nothing is {name} yet: run `python -m bench plan simulate` first, then `route`")
    kept = msgspec.json.decode(file.read_bytes(), type=Kept)
    return f"{_PART}/{file.name}", msgspec.convert(kept.found, kind)


def _engine(options: argparse.Namespace) -> tuple[Path, Results, Engine]:
    """The measured file, what is in it, and the engine by its micro-benchmarks."""
    files = [options.steps] if options.steps else sorted(FOLDER.glob("*.json"), reverse=True)
    for file in files:
        measured = results.load(file)
        if measured.micro is not None:
            return file, measured, Engine(fit(measured.micro), _PAGES, _PAGE_TOKENS)
    raise SystemExit("no results with micro-benchmarks: run `python -m bench micro` first")
