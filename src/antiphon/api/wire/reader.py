"""A typed cursor over decoded JSON: it knows where it stands and raises the exact error there.

The first violation wins; nothing is coerced. Booleans are not numbers, numeric strings are not
numbers, and `10.0` is an integer because JSON does not tell it from `10`. A reader is a function
from a cursor to a value, and readers with parameters are made by functions: `number(0, 2)`. Those
with bounds or choices can be asked for them, so that what a form offers is what is accepted.
It knows no field of any request: those are in `fields`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from antiphon.api.wire.words import choices_text, excerpt, type_name
from antiphon.core.errors import (
    ArrayTooLong,
    EmptyArray,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    NumberOutOfRange,
    StringTooLong,
)

T = TypeVar("T")
D = TypeVar("D")


class _Absent:
    """The type of `ABSENT`, which no JSON value equals."""


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Cursor:
    """One JSON value, or its absence, and the path that leads to it (`messages[0].content`)."""

    value: object
    path: str = ""

    @property
    def absent(self) -> bool:
        """Missing or null: the API treats both alike."""
        return self.value is ABSENT or self.value is None

    def field(self, key: str) -> "Cursor":
        """The value under a key of this object; this must be an object."""
        value = read_object(self).get(key, ABSENT)
        return Cursor(value, f"{self.path}.{key}" if self.path else key)

    def present(self) -> "Cursor":
        """The cursor itself, if there is a value.

        Raises:
            MissingParameter: it is missing or null.
        """
        if self.absent:
            raise MissingParameter(self.path)
        return self

    def items(self) -> Iterator["Cursor"]:
        """A cursor per item of this array; this must be an array."""
        for index, value in enumerate(read_array(self)):
            yield Cursor(value, f"{self.path}[{index}]")


Reader = Callable[[Cursor], T]


def optional(cursor: Cursor, read: Reader[T], default: D) -> T | D:
    """What `read` makes of the value, or the default where there is none."""
    return default if cursor.absent else read(cursor)


def wrong_type(cursor: Cursor, expected: str) -> InvalidRequest:
    """The error for no value, or a value of another type than `expected` ("a string")."""
    if cursor.value is ABSENT:
        return MissingParameter(cursor.path)
    return InvalidType(cursor.path, expected, type_name(cursor.value))


def read_object(cursor: Cursor) -> dict[str, object]:
    """The members of an object, in the order they were written."""
    if not isinstance(cursor.value, dict):
        raise wrong_type(cursor, "an object")
    return cursor.value


def read_array(cursor: Cursor) -> list[object]:
    """The items of an array."""
    if not isinstance(cursor.value, list):
        raise wrong_type(cursor, "an array")
    return cursor.value


def read_bool(cursor: Cursor) -> bool:
    """True or false, and nothing that only looks like it."""
    if not isinstance(cursor.value, bool):
        raise wrong_type(cursor, "a boolean")
    return cursor.value


def read_string(cursor: Cursor) -> str:
    """A string of any length."""
    if not isinstance(cursor.value, str):
        raise wrong_type(cursor, "a string")
    return cursor.value


def string(maximum: int) -> Reader[str]:
    """Read a string of at most `maximum` characters."""

    def read(cursor: Cursor) -> str:
        text = read_string(cursor)
        if len(text) > maximum:
            raise StringTooLong(cursor.path, maximum, len(text))
        return text

    return read


@dataclass(frozen=True, slots=True)
class ChoiceReader:
    """Made by `one_of`."""

    choices: tuple[str, ...]

    def __call__(self, cursor: Cursor) -> str:
        """The string, if it is one of the choices."""
        text = read_string(cursor)
        if text not in self.choices:
            raise invalid_choice(cursor.path, text, self.choices)
        return text


def one_of(*choices: str) -> Reader[str]:
    """Read one of these strings."""
    return ChoiceReader(choices)


def invalid_choice(path: str, got: str, choices: Sequence[str]) -> InvalidValue:
    """The error for a string that is none of the allowed ones."""
    supported = choices_text(choices)
    return InvalidValue(path, f"Invalid value: '{excerpt(got)}'. Supported values are: {supported}.")


@dataclass(frozen=True, slots=True)
class IntegerReader:
    """Made by `integer`."""

    minimum: int
    maximum: int

    def __call__(self, cursor: Cursor) -> int:
        """The integer, if it is within the bounds."""
        value = cursor.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(cursor, "an integer")
        _check_bounds(cursor.path, value, self.minimum, self.maximum, whole=True)
        return value


def integer(minimum: int, maximum: int) -> Reader[int]:
    """Read an integer between two bounds, both inclusive."""
    return IntegerReader(minimum, maximum)


@dataclass(frozen=True, slots=True)
class NumberReader:
    """Made by `number`."""

    minimum: float
    maximum: float

    def __call__(self, cursor: Cursor) -> float:
        """The number, if it is within the bounds."""
        value = cursor.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise wrong_type(cursor, "a decimal")
        _check_bounds(cursor.path, value, self.minimum, self.maximum, whole=False)
        return float(value)


def number(minimum: float, maximum: float) -> Reader[float]:
    """Read a number between two bounds, both inclusive."""
    return NumberReader(minimum, maximum)


def _check_bounds(path: str, value: float, minimum: float, maximum: float, *, whole: bool) -> None:
    if value < minimum:
        raise NumberOutOfRange(path, value, whole, minimum=minimum)
    if value > maximum:
        raise NumberOutOfRange(path, value, whole, maximum=maximum)


def array_of(read_item: Reader[T], maximum: int, *, minimum: int = 0) -> Reader[tuple[T, ...]]:
    """Read an array of at most `maximum` items, and at least `minimum` (0 or 1)."""

    def read(cursor: Cursor) -> tuple[T, ...]:
        items = read_array(cursor)
        if len(items) < minimum:
            raise EmptyArray(cursor.path)
        if len(items) > maximum:
            raise ArrayTooLong(cursor.path, maximum, len(items))
        return tuple(read_item(item) for item in cursor.items())

    return read
