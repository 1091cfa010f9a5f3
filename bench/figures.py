"""Statistics: from records to the figures of a run, and from several rounds to their medians.

Invariant: a figure that cannot be had (no request succeeded, a server without gaps) is None, never 0.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from bench.loadgen.drive import Run
from bench.loadgen.record import Record
from bench.workloads import Workload


@dataclass(frozen=True, slots=True)
class Figures:
    """One workload on one server in one round. Times are seconds; tokens are generated ones."""

    requests: int
    errors: int
    wall_s: float
    tokens: int
    prompt_tokens: int
    cached_tokens: int
    tokens_per_s: float | None
    requests_per_s: float | None
    first_token_p50_s: float | None
    first_token_p99_s: float | None
    cold_first_token_s: float | None
    """Of the opening conversation, which found nothing in the prompt cache."""
    gap_p50_s: float | None
    gap_p99_s: float | None
    gap_max_s: float | None
    cpu_per_request_s: float | None
    """CPU time of the server's processes."""
    client_cpu_share: float
    """CPU time of the load generator, as a share of one core."""
    held_schema: float | None
    """Share of answers that are what a strict schema promised."""
    error: str | None
    """The first error's text."""


def summarise(run: Run, workload: Workload, server_cpu_s: float | None) -> Figures:
    """The figures of a driven workload."""
    good = [r for r in run.records if r.error is None]
    tokens = sum(r.output_tokens for r in good)
    firsts = [s for r in good if (s := r.first_token_s) is not None]
    gaps = [gap for r in good for gap in r.gaps]
    return Figures(
        requests=len(run.records),
        errors=len(run.records) - len(good),
        wall_s=run.wall_s,
        tokens=tokens,
        prompt_tokens=sum(r.prompt_tokens for r in good),
        cached_tokens=sum(r.cached_tokens for r in good),
        tokens_per_s=tokens / run.wall_s if good else None,
        requests_per_s=len(good) / run.wall_s if good else None,
        first_token_p50_s=quantile(firsts, 0.5),
        first_token_p99_s=quantile(firsts, 0.99),
        cold_first_token_s=run.opening[0].first_token_s if run.opening else None,
        gap_p50_s=quantile(gaps, 0.5),
        gap_p99_s=quantile(gaps, 0.99),
        gap_max_s=max(gaps, default=None),
        cpu_per_request_s=server_cpu_s / len(good) if good and server_cpu_s is not None else None,
        client_cpu_share=run.client_cpu_s / run.wall_s,
        held_schema=_held_schema(good, workload),
        error=next((r.error for r in (*run.opening, *run.records) if r.error is not None), None),
    )


def _held_schema(good: Sequence[Record], workload: Workload) -> float | None:
    if workload.fields is None or not good:
        return None
    return sum(r.holds(workload.fields) for r in good) / len(good)


def quantile(values: Iterable[float], share: float) -> float | None:
    """The value below which `share` of the values lie, interpolated; None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def medians(rounds: Sequence[Figures]) -> dict[str, float | None]:
    """Each numeric figure's median over the rounds that have it."""
    found: dict[str, float | None] = {}
    for name in (f.name for f in fields(Figures) if f.name != "error"):
        values = [value for figures in rounds if (value := getattr(figures, name)) is not None]
        found[name] = statistics.median(values) if values else None
    return found


def paired_ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> float | None:
    """The median of the rounds' ratios: each round's two figures met the same moods of the machine."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=False) if a is not None and b]
    return statistics.median(ratios) if ratios else None
