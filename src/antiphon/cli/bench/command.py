"""The `antiphon bench` command."""

import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from antiphon.cli.ending import fail
from antiphon.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antiphon.cli.bench.figures import Figures
    from antiphon.cli.bench.load import Load
    from antiphon.cli.client import Endpoint

_URL = typer.Argument(
    envvar="ANTIPHON_URL", help="A server's base URL; without it, one that runs here, else one of its own."
)
_CONCURRENCY = typer.Option("--concurrency", "-c", help="Clients at once, with commas for several runs.")

BENCH_HELP = """Measure a server: ours, or any other that speaks the Chat Completions API.

Prints tokens per second, the time to the first token and between tokens; writes them as JSON and as a chart.
"""


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The command's arguments, in the order of its help."""

    url: Annotated[str | None, _URL] = None
    model: Annotated[str | None, typer.Option("--model", "-m", help="The model to ask for.")] = None
    concurrency: Annotated[str, _CONCURRENCY] = "1,4,16"
    requests: Annotated[int, typer.Option(help="Requests in each run.", min=1, max=100_000)] = 32
    max_tokens: Annotated[int, typer.Option(help="Tokens of each answer, at most.", min=1)] = 64
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the figures as JSON.")
    ] = None
    plot: Annotated[str | None, typer.Option(metavar="FILE.svg", help="Draw them.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False


def bench(options: BenchOptions) -> None:
    """Run each concurrency in turn and report."""
    from antiphon.cli.bench.load import Load
    from antiphon.cli.chat.connect import connected
    from antiphon.cli.client import ApiError
    from antiphon.config import ConfigError
    from antiphon.hosted.server import ServeError

    runs = _concurrencies(options.concurrency)
    try:
        with connected(options.url, options.model) as server:
            load = Load(server.model, options.requests, options.max_tokens)
            measured = list(_measure(server.endpoint, load, runs))
            _report(options, server.endpoint.url, server.model, measured)
    except (ApiError, ServeError, ConfigError) as error:
        fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if all(run.failed == run.requests for run in measured):
        raise typer.Exit(1)


def _concurrencies(text: str) -> list[int]:
    try:
        runs = [int(part) for part in text.split(",")]
    except ValueError:
        runs = []
    if not runs or not all(1 <= run <= 512 for run in runs):
        fail(f"--concurrency: expected numbers from 1 to 512 with commas between, not {text}", 2)
    return runs


def _measure(endpoint: "Endpoint", load: "Load", runs: list[int]) -> "Iterator[Figures]":
    """One run after the other; the first request of all warms the server up and is not counted."""
    from antiphon.cli.bench.figures import figures
    from antiphon.cli.bench.load import Load, run_load

    (warm,), _ = run_load(endpoint, Load(load.model, 1, 8), 1, lambda: None)
    if warm.error is not None:
        fail(warm.error)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as display:
        for concurrency in runs:
            task = display.add_task(f"{concurrency} at once", total=load.requests)
            samples, seconds = run_load(endpoint, load, concurrency, partial(display.advance, task))
            yield figures(samples, seconds, concurrency)
            for words in sorted({sample.error for sample in samples if sample.error is not None})[:3]:
                typer.echo(f"antiphon: {words}", err=True)


def _report(options: BenchOptions, url: str, model: str, measured: "list[Figures]") -> None:
    from antiphon.cli.bench.plot import svg

    document: dict[str, Any] = {
        "url": url,
        "model": model,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "max_tokens": options.max_tokens,
        "runs": [asdict(run) for run in measured],
    }
    if options.as_json:
        print_json(document)
    else:
        print_table(_HEAD, map(_row, measured))
    if options.output:
        _write(options.output, _as_text(document))
    if options.plot:
        _write(options.plot, svg(f"{model}, answers of {options.max_tokens} tokens", measured))


_HEAD = ("CLIENTS", "REQUESTS", "FAILED", "TOKENS/S", "FIRST TOKEN MS", "P95", "NEXT TOKEN MS", "P95")


def _row(run: "Figures") -> tuple[str, ...]:
    numbers = (*run.first_token_ms, *run.next_token_ms)
    counts = (str(run.concurrency), str(run.requests), str(run.failed), f"{run.tokens_per_s:.1f}")
    return (*counts, *(f"{number:.1f}" for number in numbers))


def _as_text(document: object) -> str:
    import json

    return json.dumps(document, indent=2) + "\n"


def _write(path: str, text: str) -> None:
    try:
        Path(path).expanduser().write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{path}: {error.strerror}")
