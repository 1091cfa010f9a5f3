"""Sessions as they come."""

from itertools import islice

import pytest

from bench.planning.traffic import SHAPES, sessions


@pytest.mark.parametrize("name", SHAPES)
def test_equal_seeds_give_equal_sessions_in_order(name: str) -> None:
    """The next seed gives others."""
    first, again, other = (list(islice(sessions(SHAPES[name], 2.0, seed), 50)) for seed in (1, 1, 2))

    assert first == again != other
    assert [session.comes_s for session in first] == sorted(session.comes_s for session in first)


@pytest.mark.parametrize("name", SHAPES)
def test_rates_and_lengths_are_those_of_the_shape(name: str) -> None:
    """On average, over many."""
    shape = SHAPES[name]
    many = list(islice(sessions(shape, 4.0, 7), 4000))
    turns = [turn for session in many for turn in session.turns]

    assert len(many) / many[-1].comes_s == pytest.approx(4.0, rel=0.15)
    assert len(turns) / len(many) == pytest.approx(shape.turns, rel=0.15)
    assert sum(turn.answer for turn in turns) / len(turns) == pytest.approx(shape.answer, rel=0.15)
    assert len({session.system for session in many}) == shape.applications
