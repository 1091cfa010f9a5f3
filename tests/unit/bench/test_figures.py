"""From records to figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import medians, paired_ratio, quantile, summarise
from bench.loadgen.drive import Run
from bench.loadgen.record import Record
from bench.workloads import make

WORKLOAD = make("chat", 1, 0, 1)
numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=1), st.floats(0, 1))
def test_quantile_is_numpys(values: list[float], share: float) -> None:
    """Interpolated linearly between neighbours."""
    assert quantile(values, share) == pytest.approx(float(np.quantile(values, share)), abs=1e-6)


def test_quantile_of_nothing_is_none() -> None:
    """There is no such value."""
    assert quantile([], 0.5) is None


def answered(sent: float, *arrivals: float) -> Record:
    """A request whose pieces came then."""
    return Record(sent=sent, arrivals={0: list(arrivals)}, finish_reasons={0: "length"}, finished=True)


def test_summary_counts_only_what_succeeded() -> None:
    """A failed request is counted as such and spoils no other figure."""
    records = [answered(0.0, 1.0, 2.0), answered(0.0, 3.0, 3.5), Record(sent=0.0, error="no")]
    figures = summarise(Run(records, [], wall_s=4.0, client_cpu_s=0.2), WORKLOAD, server_cpu_s=6.0)
    assert (figures.requests, figures.errors, figures.error) == (3, 1, "no")
    assert (figures.tokens, figures.tokens_per_s, figures.requests_per_s) == (4, 1.0, 0.5)
    assert (figures.first_token_p50_s, figures.gap_max_s) == (2.0, 1.0)
    assert figures.cpu_per_request_s == 3.0
    assert figures.client_cpu_share == pytest.approx(0.05)
    assert (figures.cold_first_token_s, figures.held_schema) == (None, None)


def test_summary_of_failures_has_no_rates() -> None:
    """Nothing succeeded, so nothing was fast or slow."""
    run = Run([Record(sent=0.0, error="no")], [], wall_s=1.0, client_cpu_s=0.0)
    figures = summarise(run, WORKLOAD, server_cpu_s=1.0)
    assert (figures.tokens_per_s, figures.gap_p50_s, figures.cpu_per_request_s) == (None, None, None)


def test_summary_tells_the_cold_first_token() -> None:
    """The opening is told apart from all others."""
    run = Run([answered(5.0, 5.1)], [answered(0.0, 2.0)], wall_s=1.0, client_cpu_s=0.0)
    figures = summarise(run, WORKLOAD, None)
    assert figures.cold_first_token_s == 2.0
    assert figures.first_token_p50_s == pytest.approx(0.1)


def test_summary_tells_how_many_answers_held_their_schema() -> None:
    """A strict schema's answers are read."""
    good = answered(0.0, 1.0)
    good.finish_reasons, good.texts = {0: "stop"}, {0: "{}"}
    run = Run([good, answered(0.0, 1.0)], [], wall_s=1.0, client_cpu_s=0.0)
    assert summarise(run, make("json", 1, 0, 1), None).held_schema == 0.5


def test_medians_skip_rounds_without_the_figure() -> None:
    """A round in which everything failed takes no part."""
    runs = [Run([answered(0.0, 1.0)], [], wall_s=wall, client_cpu_s=0.0) for wall in (1.0, 2.0, 4.0)]
    failed = Run([Record(sent=0.0, error="no")], [], wall_s=1.0, client_cpu_s=0.0)
    found = medians([summarise(run, WORKLOAD, None) for run in (*runs, failed)])
    assert found["tokens_per_s"] == 0.5
    assert found["cpu_per_request_s"] is None


def test_paired_ratio_compares_within_rounds() -> None:
    """A slow round is slow for both, so its ratio stands."""
    assert paired_ratio([100.0, 10.0, 90.0], [50.0, 5.0, 30.0]) == 2.0
    assert paired_ratio([None], [1.0]) is None
    assert paired_ratio([1.0], [0.0]) is None
