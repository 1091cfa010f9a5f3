"""Tokens per second over a window, by readings at made-up times."""

import pytest

from antiphon.engine.throughput import Throughput


def test_steady_growth_is_its_rate() -> None:
    """Fifty tokens every half second are a hundred a second, soon and for long."""
    throughput = Throughput(100.0)
    figures = [throughput.per_second(100.0 + 0.5 * i, 50 * i) for i in range(1, 200)]

    assert figures == pytest.approx([100.0] * 199)


def test_figure_falls_to_nothing_when_the_total_stands_still() -> None:
    """Half a window later half is left, a window later none; an idle engine reports once a second."""
    throughput = Throughput(0.0)
    for tenths in range(1, 101):
        throughput.per_second(tenths / 10, 10 * tenths)

    idle = {second: throughput.per_second(second, 1000) for second in range(11, 23)}

    assert idle[15] == pytest.approx(50.0, rel=0.05)
    assert idle[21] == 0.0


def test_first_reading_at_the_start_divides_by_nothing() -> None:
    """There is no time yet, so no rate."""
    assert Throughput(5.0).per_second(5.0, 7) == 0.0


def test_readings_are_bounded_however_often_they_are_taken() -> None:
    """A thousand steps a second for a minute keep a few dozen readings."""
    throughput = Throughput(0.0)
    for milliseconds in range(1, 60_000):
        throughput.per_second(milliseconds / 1000, milliseconds)

    assert len(throughput._readings) < 50
