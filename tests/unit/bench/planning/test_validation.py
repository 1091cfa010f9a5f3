"""The simulation of one replica is held against kept measurements of a real server."""

import pytest

from bench import results
from bench.planning.replica import Engine
from bench.planning.steps import fit
from bench.planning.validation import compare

QUIET = results.FOLDER / "20261124T195330-all-avx2.json"


def test_simulated_clients_are_served_as_fast_as_real_ones_were() -> None:
    """Throughput and the slowest first tokens to a quarter at every load; nothing was fitted to these."""
    measured = results.load(QUIET)
    assert measured.micro is not None
    compared = list(compare(measured, Engine(fit(measured.micro), 1455, 32)))

    assert {(cell.workload, cell.clients) for cell in compared} == {
        *(("chat", clients) for clients in (1, 8, 16, 32)),
        ("mixed", 8),
        ("turns", 8),
    }
    for cell in compared:
        assert cell.simulated.requests == cell.measured["requests"]
        assert cell.simulated.tokens_per_s == pytest.approx(cell.measured["tokens_per_s"], rel=0.25)
        assert cell.simulated.first_token_p99_s == pytest.approx(cell.measured["first_token_p99_s"], rel=0.25)
