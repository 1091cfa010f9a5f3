"""Bounds of numbers, put so that no text of an answer can be read as a number beyond them.

Numbers are written without exponents and stay within ±10^18, integers within ±(2^53 - 1) unless the
schema asks for more: what any client reads exactly. An excluded bound becomes the next number that
is allowed, because a text like 2.99999999999999999999 is below 3 and is read as 3.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

SAFE_INTEGER: Final = 2**53 - 1
LARGEST: Final = 10**18
_SMALLEST: Final = 1e-9
_LARGEST_MULTIPLE: Final = 10**12
"""Where multiples that are no integers end: up to here a double tells them apart."""
_LISTED: Final = 1000
"""So many multiples are listed one by one, those alone on which every validator agrees."""
_LARGEST_STEP: Final = 1000
"""Multiples of more than this are listed too, the thousand nearest to zero: the library counts remainders."""


class NoNumber(Exception):
    """No number lies within the bounds, or none that can be told from one outside; the text says why."""


@dataclass(frozen=True, slots=True)
class _Range:
    low: Fraction | None
    high: Fraction | None
    above_low: bool
    """`low` itself is excluded."""
    below_high: bool


def held_numbers(schema: Mapping[str, object], *, integer: bool) -> dict[str, object]:
    """The keywords that hold the numbers of a schema.

    Raises:
        NoNumber: there is none.
    """
    bounds = _range(schema)
    step = _number(schema, "multipleOf")
    if step is not None and step <= 0:
        raise NoNumber("'multipleOf' must be greater than 0")
    if integer:
        return _integers(bounds, Fraction(1) if step is None else Fraction(step.numerator))
    return _reals(bounds) if step is None else _multiples(bounds, step)


def _integers(bounds: _Range, step: Fraction) -> dict[str, object]:
    """Integers that are multiples of an integer."""
    low = None if bounds.low is None else _next_multiple(bounds.low, step, excluded=bounds.above_low)
    high = None if bounds.high is None else -_next_multiple(-bounds.high, step, excluded=bounds.below_high)
    least = max(-LARGEST, -SAFE_INTEGER if high is None or high >= -SAFE_INTEGER else -LARGEST)
    most = SAFE_INTEGER if low is None or low <= SAFE_INTEGER else LARGEST
    low = Fraction(least) if low is None else max(low, Fraction(-LARGEST))
    high = Fraction(most) if high is None else min(high, Fraction(LARGEST))
    low, high = _exact(low, up=True), _exact(high, up=False)
    low = _next_multiple(low, step, excluded=False)
    if low > high:
        raise NoNumber("no integer lies within its bounds")
    if step > _LARGEST_STEP:
        return {"enum": [int(value) for value in _nearest_to_zero(low, high, step)]}
    return _keywords(int(low), int(high), step)


def _multiples(bounds: _Range, step: Fraction) -> dict[str, object]:
    limit = Fraction(LARGEST if step.denominator == 1 else _LARGEST_MULTIPLE)
    low = Fraction(-limit) if bounds.low is None else max(bounds.low, -limit)
    high = Fraction(limit) if bounds.high is None else min(bounds.high, limit)
    low = _next_multiple(low, step, excluded=bounds.above_low)
    high = -_next_multiple(-high, step, excluded=bounds.below_high)
    if low > high:
        raise NoNumber("no multiple of 'multipleOf' lies within its bounds")
    binary = step.denominator & (step.denominator - 1) == 0
    few = (high - low) / step < _LISTED
    if step.numerator <= _LARGEST_STEP and (binary or not few):
        return _keywords(float(low), float(high), step)
    values = map(float, _nearest_to_zero(low, high, step))
    listed = [value for value in values if (value / float(step)).is_integer()]
    if not listed:
        raise NoNumber("no multiple of 'multipleOf' lies within its bounds")
    return {"enum": listed}


def _nearest_to_zero(low: Fraction, high: Fraction, step: Fraction) -> list[Fraction]:
    """At most a thousand multiples from `low`, which is one, to `high`."""
    first = max(low, min(Fraction(0), high) - step * (_LISTED // 2))
    first = _next_multiple(first, step, excluded=False)
    count = min(int((high - first) / step) + 1, _LISTED)
    return [first + step * place for place in range(count)]


def _reals(bounds: _Range) -> dict[str, object]:
    low = float(-LARGEST) if bounds.low is None else _float(max(bounds.low, Fraction(-LARGEST)), up=True)
    high = float(LARGEST) if bounds.high is None else _float(min(bounds.high, Fraction(LARGEST)), up=False)
    if bounds.above_low and _decimal(low) == bounds.low:
        low = min(_SMALLEST, high / 2) if low == 0 else math.nextafter(low, math.inf)
    if bounds.below_high and _decimal(high) == bounds.high:
        high = max(-_SMALLEST, low / 2) if high == 0 else math.nextafter(high, -math.inf)
    beyond = (bounds.above_low and low == bounds.low) or (bounds.below_high and high == bounds.high)
    if low > high or beyond:
        raise NoNumber("no number lies within its bounds")
    if any(0 < abs(bound) < _SMALLEST / 1000 for bound in (low, high)):
        raise NoNumber("its bounds are too close to zero to be held")
    return {"minimum": low, "maximum": high}


def _keywords(low: float, high: float, step: Fraction) -> dict[str, object]:
    keywords: dict[str, object] = {"minimum": low, "maximum": high}
    if step == 1 and isinstance(low, int):
        return keywords
    return keywords | {"multipleOf": step.numerator if step.denominator == 1 else float(step)}


def _range(schema: Mapping[str, object]) -> _Range:
    low, above = _tighter(_number(schema, "minimum"), _number(schema, "exclusiveMinimum"), 1)
    high, below = _tighter(_number(schema, "maximum"), _number(schema, "exclusiveMaximum"), -1)
    return _Range(low, high, above, below)


def _tighter(
    inclusive: Fraction | None, exclusive: Fraction | None, sign: int
) -> tuple[Fraction | None, bool]:
    """The bound that allows less, and whether it is excluded itself."""
    if exclusive is None or (inclusive is not None and sign * inclusive > sign * exclusive):
        return inclusive, False
    return exclusive, True


def _number(schema: Mapping[str, object], keyword: str) -> Fraction | None:
    value = schema.get(keyword)
    if value is None or isinstance(value, bool):
        return None
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise NoNumber(f"'{keyword}' must be a number")
    return Fraction(value) if isinstance(value, int) else _decimal(value)


def _next_multiple(bound: Fraction, step: Fraction, *, excluded: bool) -> Fraction:
    """The least multiple that is not below the bound."""
    multiple = math.ceil(bound / step) * step
    return multiple + step if excluded and multiple == bound else multiple


def _exact(bound: Fraction, *, up: bool) -> Fraction:
    """The nearest integer that a double holds and that is not beyond the bound."""
    value = float(bound)
    if up and Fraction(value) < bound:
        value = math.nextafter(value, math.inf)
    if not up and Fraction(value) > bound:
        value = math.nextafter(value, -math.inf)
    return Fraction(value)


def _decimal(value: float) -> Fraction:
    """What a double is written as, exactly."""
    return Fraction(repr(value))


def _float(bound: Fraction, *, up: bool) -> float:
    """The nearest double that is not beyond the bound; repr(0.1) counts as exactly 0.1."""
    value = float(bound)
    if _decimal(value) == bound:
        return value
    if up and Fraction(value) < bound:
        return math.nextafter(value, math.inf)
    if not up and Fraction(value) > bound:
        return math.nextafter(value, -math.inf)
    return value
