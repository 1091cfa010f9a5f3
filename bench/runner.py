"""Runs a plan: rounds of all servers in turn, so that a mood of the machine meets them all alike.

In each round and group every server is started, warmed up, driven through the group's cells and
stopped before the next one starts; the order rotates from round to round. No prompt is used twice.

Invariant: whatever fails is a result with an error text; the run goes on.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

import uvloop

from bench.figures import Figures, summarise
from bench.loadgen.drive import Run, drive
from bench.loadgen.record import Record
from bench.plan import Cell, Group
from bench.servers.bare_loop import BareLoop
from bench.servers.peer import Load, Model, Peer
from bench.servers.process import Running, ServerFailed, running
from bench.workloads import make

_WARM_UP_SEED = -1

MeasureCell = Callable[[Cell, int, int], Figures]
"""Takes the cell, the seed of its prompts and the requests per client."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How often and how long."""

    rounds: int
    requests_per_client: int
    threads: int
    only: Mapping[str, frozenset[Cell]] = field(default_factory=dict)
    """The cells of servers that are not measured in all."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One cell on one server in one round."""

    round: int
    server: str
    cell: Cell
    figures: Figures


def measure(
    peers: Sequence[Peer | BareLoop],
    model: Model,
    plan: Sequence[Group],
    options: RunOptions,
    note: Callable[[Measured], None],
) -> None:
    """Run the plan; `note` hears of each result as it comes."""
    for turn in range(options.rounds):
        for group in plan:
            load = Load(model, options.threads, group.sequences, group.sequence_tokens)
            for peer in _rotated(peers, turn):
                for cell, figures in _measure_group(peer, load, group, turn, options):
                    note(Measured(turn, peer.name, cell, figures))


def _rotated(peers: Sequence[Peer | BareLoop], by: int) -> list[Peer | BareLoop]:
    by %= len(peers)
    return [*peers[by:], *peers[:by]]


def _measure_group(
    peer: Peer | BareLoop, load: Load, group: Group, turn: int, options: RunOptions
) -> Iterator[tuple[Cell, Figures]]:
    cells = [cell for cell in group.cells if _covers(peer, cell, options)]
    if not cells:
        return
    with ExitStack() as stack:
        try:
            measure_cell = stack.enter_context(_session(peer, load, turn))
        except ServerFailed as error:
            yield from ((cell, _nothing(error)) for cell in cells)
            return
        for cell in cells:
            try:
                yield cell, measure_cell(cell, turn, options.requests_per_client)
            except ServerFailed as error:
                yield cell, _nothing(error)


def _covers(peer: Peer | BareLoop, cell: Cell, options: RunOptions) -> bool:
    if isinstance(peer, BareLoop) and cell.workload not in peer.workloads:
        return False
    return peer.name not in options.only or cell in options.only[peer.name]


@contextmanager
def _session(peer: Peer | BareLoop, load: Load, turn: int) -> Iterator[MeasureCell]:
    """What measures cells on a peer: warmed up and, if it is a server, stopped in the end.

    Raises:
        ServerFailed: it did not start.
    """
    if isinstance(peer, BareLoop):
        yield partial(peer.measure, load)
        return
    with running(peer.launch(load)) as server:
        _drive(server, Cell("chat", min(load.sequences, 8)), _WARM_UP_SEED - turn, 1)
        yield partial(_drive, server)


def _drive(server: Running, cell: Cell, seed: int, requests_per_client: int) -> Figures:
    workload = make(cell.workload, cell.concurrency, seed, requests_per_client)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before = server.cpu_seconds()
        run = runner.run(drive(server.target, workload, cell.concurrency))
        return summarise(run, workload, server.cpu_seconds() - before)


def _nothing(error: ServerFailed) -> Figures:
    """The figures of a server that did not run."""
    failed = Run([Record(sent=0.0, error=str(error))], [], wall_s=1.0, client_cpu_s=0.0)
    return summarise(failed, make("chat", 1, 0, 1), None)
