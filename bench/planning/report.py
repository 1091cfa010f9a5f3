"""Writes figures and plots into docs/concepts/planning.md, between its markers; the prose is by hand.

Invariant: the same results files give the same bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.planning.routing import OURS
from bench.planning.simulate import Outcome
from bench.planning.steps import StepTimes
from bench.planning.sweep import Row
from bench.planning.traffic import SHAPES
from bench.planning.validation import Compared
from bench.report import fill
from bench.results import Results
from bench.table import markdown_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "concepts" / "planning.md"


@dataclass(frozen=True, slots=True)
class Simulated:
    """What `plan simulate` found."""

    steps: str
    """The results file that the step times are from."""
    times: StepTimes
    limits_s: dict[str, float]
    """What 95 of 100 first tokens were to be within, by shape."""
    compared: list[Compared]
    """One replica beside a real server."""
    borne: list[Row]
    """The most that one replica takes, by shape."""
    loads: list[Row]
    """One replica from a light load to more than it bears."""
    policies: list[Row]
    """The policies at the same load per replica."""
    by_policy: list[Row]
    """The most that several replicas take under each policy."""


@dataclass(frozen=True, slots=True)
class Routed:
    """What `plan route` found."""

    steps: str
    rates: dict[str, float]
    """Sessions a second that one replica bears, by shape."""
    rows: list[Row]


def write_routes(found: Routed, name: str, page: Path = PAGE) -> Path:
    """Put the table of routing over load into the page."""
    rows = [
        [
            row.shape,
            str(row.replicas),
            f"{row.sessions_per_s / row.replicas / found.rates[row.shape]:.2f}",
            row.policy,
            *_cells(row.outcome),
        ]
        for row in found.rows
    ]
    headings = ["shape", "replicas", "load", "policy", "tokens/s", "first token p50", "p95", "p99"]
    table = markdown_table([*headings, "cached", "busiest"], rows)
    text = fill(page.read_text(encoding="utf-8"), "routes", f"`bench/results/{name}`:\n\n{table}")
    page.write_text(text, encoding="utf-8")
    return page


def write_report(found: Simulated, measured: Results, name: str, page: Path = PAGE) -> Path:
    """Put the tables and plots into the page."""
    load, hits, tails = (
        f"![{path.stem}](planning/{path.name})" for path in _draw(found, page.parent / "planning")
    )
    parts = {
        "basis": _basis(found, measured, name),
        "validation": _validation(found.compared),
        "one": f"{load}\n\n{_one(found, measured.threads)}",
        "policies": f"{hits}\n\n{tails}\n\n{_policies(found)}",
        "borne": _borne(found),
    }
    text = page.read_text(encoding="utf-8")
    for part, content in parts.items():
        text = fill(text, part, content)
    page.write_text(text, encoding="utf-8")
    return page


def _draw(found: Simulated, folder: Path) -> list[Path]:
    """Only plots need matplotlib."""
    from bench.planning import plots

    return plots.draw(found.loads, found.policies, folder)


def _basis(found: Simulated, measured: Results, name: str) -> str:
    machine, times = measured.machine, found.times
    return "\n".join(
        [
            f"- Measured: `bench/results/{found.steps}`, {measured.date[:10]}, tree {measured.commit}, on "
            f"{machine['cpu']}, {machine['cores']} cores ({', '.join(machine['cpu_features'])}); "
            f"{measured.model['file']} with {measured.threads} threads",
            f"- Simulated: `bench/results/{name}`",
            f"- A step takes {_ms(times.base)}, {_ms(times.per_decode)} more for each sequence that decodes, "
            f"and {_ms(times.per_prompt_token)} more for each prompt token",
        ]
    )


def _validation(compared: Sequence[Compared]) -> str:
    rows = []
    for cell in compared:
        real, guess, clients = cell.measured, cell.simulated, str(cell.clients)
        pairs = (
            (real["tokens_per_s"], guess.tokens_per_s),
            (real["first_token_p50_s"], guess.first_token_p50_s),
            (real["first_token_p99_s"], guess.first_token_p99_s),
        )
        (rate, rate_guess), *times = pairs
        row = [
            cell.workload,
            clients,
            _against(f"{rate:,.0f}", f"{rate_guess:,.0f}", rate, rate_guess),
        ]
        row += [_against(_ms(a), _ms(b), a, b) for a, b in times]
        row.append(f"{(real['cached_tokens'] or 0) / (real['prompt_tokens'] or 1):.0%}, {guess.hit_rate:.0%}")
        rows.append(row)
    headings = ["workload", "clients", "tokens/s", "first token p50", "p99", "cached"]
    return markdown_table(headings, rows)


def _against(real_text: str, guess_text: str, real: float | None, guess: float | None) -> str:
    error = f" ({guess / real - 1:+.0%})" if real and guess is not None else ""
    return f"{real_text}, {guess_text}{error}"


def _one(found: Simulated, threads: int) -> str:
    rows = [
        [
            f"**{row.shape}**: {SHAPES[row.shape].about}",
            _ms(found.limits_s[row.shape]),
            f"{row.outcome.requests_per_s:.2f}",
            f"{row.outcome.tokens_per_s:,.0f}",
            _ms(row.outcome.first_token_p50_s),
            _ms(row.outcome.token_p95_s),
            f"{row.outcome.hit_rate:.0%}",
            f"{threads / row.outcome.tokens_per_s * 1e6 / 3600:,.1f}",
        ]
        for row in found.borne
    ]
    headings = ["shape", "in time", "requests/s", "tokens/s", "first token p50", "token p95", "cached"]
    return markdown_table([*headings, "core-hours a million tokens"], rows)


def _policies(found: Simulated) -> str:
    rows = [
        [row.shape, f"{row.replicas:,}", row.policy, *_cells(row.outcome)]
        for row in found.policies
        if row.replicas > 1 or row.policy == OURS
    ]
    headings = [
        "shape",
        "replicas",
        "policy",
        "tokens/s",
        "first token p50",
        "p95",
        "p99",
        "cached",
        "busiest",
    ]
    return markdown_table(headings, rows)


def _cells(outcome: Outcome) -> list[str]:
    return [
        f"{outcome.tokens_per_s:,.0f}",
        _ms(outcome.first_token_p50_s),
        _ms(outcome.first_token_p95_s),
        _ms(outcome.first_token_p99_s),
        f"{outcome.hit_rate:.0%}",
        f"{outcome.busiest:.2f}",
    ]


def _borne(found: Simulated) -> str:
    ours = {(row.shape, row.replicas): row.sessions_per_s for row in found.by_policy if row.policy == OURS}
    rows = [
        [
            row.shape,
            str(row.replicas),
            row.policy,
            f"{row.outcome.requests_per_s:.1f}",
            f"{row.outcome.hit_rate:.0%}",
            f"{ours[row.shape, row.replicas] / row.sessions_per_s:.2f}",
        ]
        for row in found.by_policy
    ]
    return markdown_table(
        ["shape", "replicas", "policy", "requests/s", "cached", "machines for one of ours"], rows
    )


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:,.{1 if seconds < 0.1 else 0}f} ms"
