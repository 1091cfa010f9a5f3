"""Three plots of a plan, as SVG."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl

from bench.planning.routing import OURS
from bench.planning.sweep import LOADS, Row

mpl.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes

_SHAPE = "chat"


def draw(loads: Sequence[Row], policies: Sequence[Row], folder: Path) -> list[Path]:
    """Latency over load, hits over replicas, tails over replicas."""
    folder.mkdir(parents=True, exist_ok=True)
    # Without this every run would write other bytes for the same plot.
    mpl.rcParams["svg.hashsalt"] = "antiphon"
    rows = [row for row in policies if row.shape == _SHAPE]
    return [
        _plot(folder / "load.svg", lambda axes: _latency(axes, loads)),
        _plot(folder / "hits.svg", lambda axes: _by_policy(axes, rows, "prompt tokens cached, %", _hits)),
        _plot(folder / "tails.svg", lambda axes: _by_policy(axes, rows, "s to the first token, p95", _tail)),
    ]


def _plot(path: Path, fill: Callable[[Axes], None]) -> Path:
    canvas, axes = pyplot.subplots(figsize=(5.6, 3.4), layout="constrained")
    fill(axes)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    canvas.savefig(path, metadata={"Date": None})
    pyplot.close(canvas)
    return path


def _latency(axes: Axes, rows: Sequence[Row]) -> None:
    for shape in dict.fromkeys(row.shape for row in rows):
        tails = [row.outcome.first_token_p95_s or 0 for row in rows if row.shape == shape]
        axes.plot([100 * load for load in LOADS], tails, label=shape, marker="o", markersize=4)
    axes.set(xlabel="load, % of what one replica bears", ylabel="s to the first token, p95")


def _by_policy(axes: Axes, rows: Sequence[Row], label: str, read: Callable[[Row], float]) -> None:
    for policy in dict.fromkeys(row.policy for row in rows):
        points = [(row.replicas, read(row)) for row in rows if row.policy == policy]
        ours = policy == OURS
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            label=policy,
            marker="o",
            markersize=4,
            linewidth=2.5 if ours else 1.2,
            zorder=3 if ours else 2,
        )
    axes.set(xlabel="replicas", ylabel=label, xscale="log")


def _hits(row: Row) -> float:
    return 100 * row.outcome.hit_rate


def _tail(row: Row) -> float:
    return row.outcome.first_token_p95_s or 0.0
