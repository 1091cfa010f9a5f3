"""Writes the figures of a results file into docs/concepts/performance.md, between its markers.

The prose around them is written by hand. Nothing between the markers is.

Invariant: the same results file gives the same bytes.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from bench.micro.found import SAMPLED_ROWS, Micro
from bench.results import Results
from bench.table import (
    HEADINGS,
    MICRO_HEADINGS,
    OURS,
    Row,
    cells_of,
    markdown_table,
    micro_rows,
    rows_of,
    sampling_headings,
    sampling_rows,
)
from bench.workloads import KINDS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "concepts" / "performance.md"


def write_report(found: Results, file_name: str, page: Path = PAGE) -> Path:
    """Put the tables and plots of `found` into the page."""
    rows = rows_of(found.results)
    drawn = _draw(rows, page.parent / "performance")
    parts = {
        "run": _run(found, file_name),
        "servers": _servers(rows, [path.relative_to(page.parent) for path in drawn]),
        "serving": _serving(rows),
        "engine": _engine(found.micro),
    }
    text = page.read_text(encoding="utf-8")
    for name, content in parts.items():
        text = fill(text, name, content)
    page.write_text(text, encoding="utf-8")
    return page


def _draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Plots of the chat workload; none if it was not run. Only plots need matplotlib."""
    chat = [row for row in rows if row.workload == "chat"]
    if not chat:
        return []
    from bench import plots

    return plots.draw(chat, folder)


def fill(text: str, name: str, content: str) -> str:
    """Replace what stands between the markers of `name`.

    Raises:
        ValueError: the markers are not there.
    """
    pattern = rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)"
    filled, count = re.subn(pattern, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"no markers for {name}")
    return filled


def _run(found: Results, file_name: str) -> str:
    machine = found.machine
    features = ", ".join(machine["cpu_features"])
    lines = [
        f"- Results: `bench/results/{file_name}`, {found.date[:10]}, tree {found.commit or 'unknown'}",
        f"- Machine: {machine['cpu']}, {machine['cores']} cores ({features}), {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}, Python {machine['python']}, load {machine['load_average']:.1f} before",
        f"- Model: {found.model['file']} (SHA-256 {found.model['sha256'][:16]}…)",
        f"- Threads: {found.threads} for each server",
        f"- Command: `{' '.join(found.command)}`",
    ]
    for name, facts in found.servers.items():
        lines.append(f"- {name}: " + "; ".join(f"{key} {value}" for key, value in facts.items()))
    return "\n".join(lines)


def _servers(rows: Sequence[Row], drawn: Sequence[Path]) -> str:
    parts = [f"![{path.stem}]({path.as_posix()})" for path in drawn]
    for name in dict.fromkeys(row.workload for row in rows):
        table = [cells_of(row)[1:] for row in rows if row.workload == name and row.server != "bare-loop"]
        parts.append(f"**{name}**: {KINDS[name].about}.\n\n{markdown_table(HEADINGS[1:], table)}")
        parts += _cold_and_warm([row for row in rows if row.workload == name])
    return "\n\n".join(parts)


def _cold_and_warm(rows: Sequence[Row]) -> list[str]:
    """What the prompt cache saves, where the workload has an opening request."""
    lines = []
    for row in rows:
        cold, warm = row.figures["cold_first_token_s"], row.figures["first_token_p50_s"]
        if cold and warm:
            lines.append(
                f"- {row.server}, {row.concurrency} clients: first token after {cold * 1000:,.0f} ms cold, "
                f"{warm * 1000:,.0f} ms warm ({warm / cold:.0%})"
            )
    return ["\n".join(lines)] if lines else []


def _serving(rows: Sequence[Row]) -> str:
    """The server's throughput as a share of its own engine loop's."""
    loops = {row.concurrency: row for row in rows if row.server == "bare-loop"}
    ours = [row for row in rows if row.server == OURS and row.workload == "chat" and row.concurrency in loops]
    table = [
        [
            str(row.concurrency),
            f"{row.figures['tokens_per_s'] or 0:,.0f}",
            f"{loops[row.concurrency].figures['tokens_per_s'] or 0:,.0f}",
            f"{loops[row.concurrency].ratio or 0:.0%}",
        ]
        for row in ours
    ]
    return markdown_table(["clients", "server, tokens/s", "bare loop, tokens/s", "share"], table)


def _engine(micro: Micro | None) -> str:
    if micro is None:
        return "Not part of this run."
    limits, work = micro.limits, micro.work
    operations = (work.operations_per_token + work.operations_per_row) / 1e6
    reached = (
        f"Reached in the same run: {limits.memory_bytes / 1e9:.1f} GB/s of memory, "
        f"{limits.bf16_operations / 1e9:,.0f} billion operations per second in bf16 and "
        f"{limits.f32_operations / 1e9:,.0f} in f32. A decode step reads {work.weight_bytes / 1e6:.0f} MB "
        f"of weights and does {operations:.0f} million operations a token."
    )
    return "\n\n".join(
        [
            reached,
            markdown_table(MICRO_HEADINGS, micro_rows(micro)),
            f"Drawing for {SAMPLED_ROWS} rows:",
            markdown_table(sampling_headings(micro), sampling_rows(micro)),
        ]
    )
