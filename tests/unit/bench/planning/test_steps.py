"""The fit of step times."""

import pytest

from bench import results
from bench.micro.found import Decode, Limits, Micro, ModelWork
from bench.planning.steps import StepTimes, fit

TRUE = StepTimes(0.02, 0.003, 0.002)
MEASURED = {
    file.stem: measured
    for file in sorted(results.FOLDER.glob("*.json"))
    if (measured := results.load(file).micro) is not None
}


def micro(times: StepTimes) -> Micro:
    """What an engine of these times would be measured at."""
    decode = [Decode(n, times.seconds(n, 0), n / times.seconds(n, 0), 1.0) for n in (1, 8, 16, 32)]
    prefill = 1024 / (2 * times.seconds(0, 512))
    return Micro(Limits(1, 1, 1, 1), ModelWork(1, 1, 1), decode, prefill, [])


def test_costs_are_found_again() -> None:
    """From measurements that follow them to the letter."""
    found = fit(micro(TRUE))

    assert found.seconds(5, 40) == pytest.approx(TRUE.seconds(5, 40))
    assert found.slower(3).seconds(5, 40) == pytest.approx(3 * TRUE.seconds(5, 40))


@pytest.mark.parametrize("name", MEASURED)
def test_kept_measurements_are_explained(name: str) -> None:
    """Each decode step to a fifth, and no cost below zero: a plan with less to do must not take longer."""
    measured = MEASURED[name]
    found = fit(measured)

    assert min(found.base, found.per_decode, found.per_prompt_token) > 0
    for decode in measured.decode:
        assert found.seconds(decode.batch, 0) == pytest.approx(decode.step_s, rel=0.2)
