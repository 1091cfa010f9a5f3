"""Results as rows for people: medians over rounds, and what Antiphon makes of each peer's throughput."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from bench.figures import Figures, medians, paired_ratio
from bench.micro.found import Micro
from bench.results import Result
from bench.workloads import KINDS

OURS = "antiphon"


@dataclass(frozen=True, slots=True)
class Row:
    """One server at one workload and concurrency."""

    workload: str
    concurrency: int
    server: str
    figures: dict[str, float | None]
    ratio: float | None
    """Antiphon's tokens per second as a multiple of this server's."""
    error: str | None


HEADINGS = (
    "workload",
    "clients",
    "server",
    "tokens/s",
    "antiphon is",
    "req/s",
    "first token p50",
    "p99",
    "gap p50",
    "p99",
    "max",
    "CPU s/req",
)


def rows_of(results: Sequence[Result]) -> list[Row]:
    """A row for each (workload, concurrency, server), in the order of the workloads."""
    places = list(KINDS)
    cells = sorted(
        {(r.workload, r.concurrency) for r in results}, key=lambda cell: (places.index(cell[0]), cell[1])
    )
    servers = list(dict.fromkeys(r.server for r in sorted(results, key=lambda r: r.round)))
    rows = [_row(results, *cell, server) for cell in cells for server in sorted(servers, key=_order)]
    return [row for row in rows if row is not None]


def _order(server: str) -> tuple[bool, bool, str]:
    return (server != OURS, server != "bare-loop", server)


def _row(results: Sequence[Result], workload: str, concurrency: int, server: str) -> Row | None:
    rounds = _rounds(results, workload, concurrency, server)
    if not rounds:
        return None
    ours = _rounds(results, workload, concurrency, OURS)
    common = [turn for turn in rounds if turn in ours]
    ratio = paired_ratio(
        [ours[turn].tokens_per_s for turn in common], [rounds[turn].tokens_per_s for turn in common]
    )
    error = next((f.error for f in rounds.values() if f.error), None)
    return Row(workload, concurrency, server, medians([*rounds.values()]), ratio, error)


def _rounds(results: Sequence[Result], workload: str, concurrency: int, server: str) -> dict[int, Figures]:
    return {
        r.round: r.figures
        for r in results
        if (r.workload, r.concurrency, r.server) == (workload, concurrency, server)
    }


def cells_of(row: Row) -> list[str]:
    """A row's texts, under `HEADINGS`."""
    figures = row.figures
    if figures["tokens_per_s"] is None:
        return [row.workload, str(row.concurrency), row.server, "failed", *[""] * (len(HEADINGS) - 4)]
    return [
        row.workload,
        str(row.concurrency),
        row.server,
        _number(figures["tokens_per_s"], 0),
        "" if row.server == OURS or row.ratio is None else f"{row.ratio:.2f}x",
        _number(figures["requests_per_s"], 2),
        *(_milliseconds(figures[name]) for name in ("first_token_p50_s", "first_token_p99_s")),
        *(_milliseconds(figures[name]) for name in ("gap_p50_s", "gap_p99_s", "gap_max_s")),
        _number(figures["cpu_per_request_s"], 2),
    ]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _milliseconds(seconds: float | None) -> str:
    return (
        ""
        if seconds is None
        else f"{seconds * 1000:,.0f} ms"
        if seconds >= 0.1
        else f"{seconds * 1000:.1f} ms"
    )


def terminal_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """For a terminal: texts to the left, numbers to the right, a line between different first cells."""
    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        texts = all(row[place][:1].isalpha() for row in rows)
        table.add_column(heading, justify="left" if texts else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def micro_rows(micro: Micro) -> list[list[str]]:
    """The engine without a server: what, how fast, and its share of the machine's limit."""
    rows = [
        [
            f"decode, batch {decode.batch}",
            f"{decode.tokens_per_s:,.0f}",
            f"{decode.step_s * 1000:.1f} ms",
            f"{micro.decode_share(decode):.0%}",
            f"{1 - decode.forward_share:.1%}",
        ]
        for decode in micro.decode
    ]
    return [*rows, ["prefill", f"{micro.prefill_tokens_per_s:,.0f}", "", f"{micro.prefill_share:.0%}", ""]]


MICRO_HEADINGS = ("engine loop", "tokens/s", "step", "of the machine's limit", "outside the library")


def sampling_rows(micro: Micro) -> list[list[str]]:
    """Drawing for a batch, per vocabulary and shape of rows."""
    ways = list(dict.fromkeys(s.parameters for s in micro.sampling))
    found = {(s.vocabulary, s.rows, s.parameters): s.seconds for s in micro.sampling}
    places = dict.fromkeys((s.vocabulary, s.rows) for s in micro.sampling)
    return [
        [f"{size:,}", shape, *(f"{found[size, shape, way] * 1000:.1f} ms" for way in ways)]
        for size, shape in places
    ]


def sampling_headings(micro: Micro) -> list[str]:
    """Of `sampling_rows`."""
    return ["vocabulary", "rows", *dict.fromkeys(s.parameters for s in micro.sampling)]


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """For a document."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
