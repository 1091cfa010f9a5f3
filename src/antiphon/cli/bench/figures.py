"""What the samples of one run say, in numbers. Requests that failed are counted, and in no other figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import quantiles

from antiphon.cli.bench.load import Sample


@dataclass(frozen=True, slots=True)
class Figures:
    """One concurrency."""

    concurrency: int
    requests: int
    failed: int
    seconds: float
    tokens_per_s: float
    requests_per_s: float
    first_token_ms: tuple[float, float]
    """Median and 95th percentile: from sending a request to its first text."""
    next_token_ms: tuple[float, float]
    """The same of the time between two pieces of one answer."""


def figures(samples: Sequence[Sample], seconds: float, concurrency: int) -> Figures:
    """Sum up a run that took so many seconds."""
    fine = [sample for sample in samples if sample.error is None]
    firsts = [sample.arrivals[0] - sample.sent for sample in fine if sample.arrivals]
    gaps = [later - earlier for sample in fine for earlier, later in pairwise(sample.arrivals)]
    return Figures(
        concurrency=concurrency,
        requests=len(samples),
        failed=len(samples) - len(fine),
        seconds=round(seconds, 3),
        tokens_per_s=round(sum(sample.tokens for sample in fine) / seconds, 2),
        requests_per_s=round(len(fine) / seconds, 3),
        first_token_ms=_percentiles(firsts),
        next_token_ms=_percentiles(gaps),
    )


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile, in milliseconds; zeros where nothing was measured."""
    if len(seconds) < 2:
        value = round(1000 * (seconds[0] if seconds else 0.0), 2)
        return value, value
    cuts = quantiles(seconds, n=20, method="inclusive")
    return round(1000 * cuts[9], 2), round(1000 * cuts[18], 2)
