"""Padding that keeps steps the same size while that is the cheaper way."""

from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.backends.steady import SteadySize


def sizes(*steps: int) -> list[int]:
    """What steps of these sizes become."""
    steady = SteadySize(change_tokens=4, most=72)
    return [tokens + steady.padding(tokens) for tokens in steps]


def test_a_size_that_wavers_stays() -> None:
    """A stream ends and the next one begins."""
    assert sizes(8, 7, 8, 6, 8, 7, 7, 8) == [8] * 8


def test_a_size_that_shrank_is_believed_when_padding_has_cost_a_change() -> None:
    """Four tokens' worth of it, and then no more."""
    assert sizes(8, 7, 7, 7, 7, 7, 7) == [8, 8, 8, 8, 8, 7, 7]
    assert sizes(8, 3, 3) == [8, 3, 3]


def test_growth_is_taken_at_once_and_large_steps_are_left_alone() -> None:
    """Nothing can be taken away from a step."""
    assert sizes(2, 3, 9, 100, 99, 80, 72, 71) == [2, 3, 9, 100, 99, 80, 72, 72]


@given(st.lists(st.integers(1, 90), max_size=60))
def test_padding_never_costs_more_than_the_change_it_puts_off(steps: list[int]) -> None:
    """Between two changes at most four tokens in a row without the size being needed."""
    spent = 0
    for tokens, size in zip(steps, sizes(*steps), strict=True):
        assert tokens <= size <= max(tokens, 72)
        spent = spent + size - tokens if size > tokens else 0
        assert spent <= 4
