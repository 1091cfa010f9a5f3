"""Two small plots of a run, as SVG: throughput and time to first token over the number of clients."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from bench.table import OURS, Row

mpl.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write the plots of one workload's rows."""
    folder.mkdir(parents=True, exist_ok=True)
    # Without this every run would write other bytes for the same plot.
    mpl.rcParams["svg.hashsalt"] = "antiphon"
    return [
        _plot(rows, "tokens_per_s", 1, "tokens per second", folder / "throughput.svg"),
        _plot(rows, "first_token_p50_s", 1000, "ms to the first token, p50", folder / "first-token.svg"),
    ]


def _plot(rows: Sequence[Row], figure: str, scale: float, label: str, path: Path) -> Path:
    canvas, axes = pyplot.subplots(figsize=(5.6, 3.4), layout="constrained")
    for server in dict.fromkeys(row.server for row in rows):
        _line(axes, [row for row in rows if row.server == server], figure, scale)
    axes.set(xlabel="clients at once", ylabel=label, xticks=sorted({row.concurrency for row in rows}))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    canvas.savefig(path, metadata={"Date": None})
    pyplot.close(canvas)
    return path


def _line(axes: Axes, rows: Sequence[Row], figure: str, scale: float) -> None:
    points = [(row.concurrency, value * scale) for row in rows if (value := row.figures[figure]) is not None]
    ours = rows[0].server == OURS
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        label=rows[0].server,
        marker="o",
        markersize=4,
        linewidth=2.5 if ours else 1.2,
        zorder=3 if ours else 2,
    )
