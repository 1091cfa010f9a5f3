"""Bounds of numbers: exact, closed, and no number where there is none."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.text.schema.numbers import LARGEST, SAFE_INTEGER, NoNumber, held_numbers


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {"minimum": -SAFE_INTEGER, "maximum": SAFE_INTEGER}),
        ({"minimum": 0.5, "maximum": 3.5}, {"minimum": 1, "maximum": 3}),
        ({"exclusiveMinimum": 1, "exclusiveMaximum": 4}, {"minimum": 2, "maximum": 3}),
        ({"minimum": 1, "maximum": 9, "multipleOf": 4}, {"minimum": 4, "maximum": 8, "multipleOf": 4}),
        ({"minimum": 1, "maximum": 9, "multipleOf": 2.5}, {"minimum": 5, "maximum": 5, "multipleOf": 5}),
        ({"minimum": 0, "maximum": 9000, "multipleOf": 4500}, {"enum": [0, 4500, 9000]}),
    ],
    ids=str,
)
def test_integers(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """Bounds are integers that are allowed themselves."""
    assert held_numbers(schema, integer=True) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {"minimum": -1e18, "maximum": 1e18}),
        ({"exclusiveMinimum": 0, "maximum": 1}, {"minimum": 1e-9, "maximum": 1.0}),
        ({"minimum": 0, "exclusiveMaximum": 3}, {"minimum": 0.0, "maximum": 2.9999999999999996}),
        (
            {"minimum": 1, "maximum": 2, "multipleOf": 0.5},
            {"minimum": 1.0, "maximum": 2.0, "multipleOf": 0.5},
        ),
        # 0.3 / 0.1 is not 3 in floating point, so a client that divides would not agree.
        ({"minimum": 0, "maximum": 0.4, "multipleOf": 0.1}, {"enum": [0.0, 0.1, 0.2, 0.4]}),
    ],
    ids=str,
)
def test_reals(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """What is excluded is left out as the next double."""
    assert held_numbers(schema, integer=False) == expected


@pytest.mark.parametrize("integer", [True, False])
@pytest.mark.parametrize(
    "schema",
    [
        {"minimum": 2, "maximum": 1},
        {"exclusiveMinimum": 1, "maximum": 1},
        {"minimum": 7, "maximum": 7, "multipleOf": 2},
        {"multipleOf": 0},
        {"minimum": "1"},
        {"minimum": 1e30},
        {"minimum": 0, "exclusiveMaximum": 0},
    ],
    ids=str,
)
def test_no_number_is_told(schema: dict[str, Any], integer: bool) -> None:
    """An empty range, or nonsense."""
    with pytest.raises(NoNumber):
        held_numbers(schema, integer=integer)


BOUNDS = st.one_of(
    st.integers(-(10**20), 10**20), st.floats(-1e20, 1e20).filter(lambda x: x == 0 or abs(x) > 1e-6)
)


@given(
    st.dictionaries(st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), BOUNDS)
)
def test_held_bounds_lie_within_the_callers(schema: dict[str, Any]) -> None:
    """Each bound that comes out is a number that the schema allows."""
    for integer in (True, False):
        try:
            found = held_numbers(schema, integer=integer)
        except NoNumber:
            continue
        for bound in (found["minimum"], found["maximum"]):
            exact = Fraction(repr(bound))
            assert abs(exact) <= LARGEST
            assert all(allowed(exact, keyword, limit) for keyword, limit in schema.items()), (found, integer)


def allowed(value: Fraction, keyword: str, limit: float) -> bool:
    """Whether one bound allows a value, read as the decimal that it is written as or as the double."""
    written = Fraction(repr(limit))
    return compared(value, keyword, written) or compared(value, keyword, Fraction(limit))


def compared(value: Fraction, keyword: str, bound: Fraction) -> bool:
    """The same for one reading of the bound."""
    match keyword:
        case "minimum":
            return value >= bound
        case "maximum":
            return value <= bound
        case "exclusiveMinimum":
            return value > bound
        case _:
            return value < bound
