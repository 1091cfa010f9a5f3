"""The typed cursor and its readers."""

from typing import Any

import pytest

from antiphon.api.wire.reader import (
    Cursor,
    Reader,
    array_of,
    integer,
    number,
    one_of,
    optional,
    read_array,
    read_bool,
    read_object,
    read_string,
    string,
)
from antiphon.core.errors import (
    ArrayTooLong,
    EmptyArray,
    InvalidType,
    InvalidValue,
    MissingParameter,
    NumberOutOfRange,
    StringTooLong,
)


def test_path_grows_with_each_step() -> None:
    """Fields are joined with dots, items with brackets."""
    cursor = Cursor({"messages": [{"content": [{"type": "text"}]}]})
    message = next(cursor.field("messages").items())
    part = next(message.field("content").items())
    assert part.field("type") == Cursor("text", "messages[0].content[0].type")


def test_null_and_nothing_are_absent() -> None:
    """Both take the default, and both are missing where something is required."""
    cursor = Cursor({"a": None})
    for key in ("a", "b"):
        assert optional(cursor.field(key), read_string, "default") == "default"
        with pytest.raises(MissingParameter):
            cursor.field(key).present()


@pytest.mark.parametrize("value", ["", 0, False, [], {}])
def test_empty_values_are_present(value: object) -> None:
    """Only null and nothing are absent."""
    assert Cursor(value).present().value == value


@pytest.mark.parametrize(
    ("read", "value", "expected", "got"),
    [
        (read_bool, 1, "a boolean", "an integer"),
        (read_bool, "true", "a boolean", "a string"),
        (read_string, 1, "a string", "an integer"),
        (read_string, None, "a string", "null"),
        (read_object, [], "an object", "an array"),
        (read_array, {}, "an array", "an object"),
        (integer(0, 9), True, "an integer", "a boolean"),
        (integer(0, 9), "1", "an integer", "a string"),
        (integer(0, 9), 1.5, "an integer", "a decimal number"),
        (number(0, 9), False, "a decimal", "a boolean"),
        (number(0, 9), "1e2", "a decimal", "a string"),
        (string(5), [], "a string", "an array"),
        (one_of("a"), 1, "a string", "an integer"),
        (array_of(read_bool, 5), "x", "an array", "a string"),
    ],
)
def test_wrong_type_is_named(read: Reader[Any], value: object, expected: str, got: str) -> None:
    """Nothing is coerced, and the error says what was expected and what came."""
    with pytest.raises(InvalidType) as caught:
        read(Cursor(value, "x"))
    assert (caught.value.param, caught.value.expected, caught.value.got) == ("x", expected, got)


@pytest.mark.parametrize(
    "read", [read_bool, read_string, read_object, read_array, integer(0, 1), number(0, 1)]
)
def test_reading_nothing_is_a_missing_parameter(read: Reader[Any]) -> None:
    """A key that is not there is not a value of a wrong type."""
    with pytest.raises(MissingParameter) as caught:
        read(Cursor({}).field("x"))
    assert caught.value.param == "x"


@pytest.mark.parametrize(("value", "read"), [(3, 3), (3.0, 3), (-0.0, 0), (1e1, 10)])
def test_integral_decimals_are_integers(value: float, read: int) -> None:
    """JSON does not tell 3 from 3.0."""
    result = integer(-10, 10)(Cursor(value))
    assert result == read
    assert isinstance(result, int)


@pytest.mark.parametrize("value", [0, 2, 0.5])
def test_numbers_are_decimals(value: float) -> None:
    """An integer will do where a decimal is asked for."""
    result = number(0, 2)(Cursor(value))
    assert result == value
    assert isinstance(result, float)


@pytest.mark.parametrize(
    ("read", "value", "minimum", "maximum", "whole"),
    [
        (integer(1, 5), 0, 1, None, True),
        (integer(1, 5), 6, None, 5, True),
        (integer(1, 5), 1e300, None, 5, True),
        (integer(1, 5), -(10**40), 1, None, True),
        (number(0, 2), -0.1, 0, None, False),
        (number(0, 2), 3, None, 2, False),
    ],
)
def test_numbers_have_bounds(
    read: Reader[Any], value: float, minimum: int | None, maximum: int | None, whole: bool
) -> None:
    """The error carries the bound that was crossed."""
    with pytest.raises(NumberOutOfRange) as caught:
        read(Cursor(value, "x"))
    error = caught.value
    assert (error.param, error.got, error.integer) == ("x", value, whole)
    assert (error.minimum, error.maximum) == (minimum, maximum)


@pytest.mark.parametrize("value", [1, 5])
def test_bounds_are_inclusive(value: int) -> None:
    """The bounds themselves pass."""
    assert integer(1, 5)(Cursor(value)) == value
    assert number(1, 5)(Cursor(value)) == value


def test_strings_have_a_maximum() -> None:
    """Characters are counted, not bytes."""
    assert string(2)(Cursor("éé")) == "éé"
    with pytest.raises(StringTooLong) as caught:
        string(2)(Cursor("abc", "x"))
    assert (caught.value.param, caught.value.maximum, caught.value.got) == ("x", 2, 3)


def test_choice_outside_the_list_is_quoted_briefly() -> None:
    """The answer repeats an excerpt of what came, and everything that would do."""
    with pytest.raises(InvalidValue) as caught:
        one_of("a", "b")(Cursor("z" * 1000, "x"))
    assert caught.value.reason == f"Invalid value: '{'z' * 64}…'. Supported values are: 'a' and 'b'."


def test_arrays_are_read_item_by_item() -> None:
    """The first bad item is named by its index."""
    assert array_of(read_bool, 3)(Cursor([True, False])) == (True, False)
    with pytest.raises(InvalidType) as caught:
        array_of(read_bool, 3)(Cursor([True, 1], "x"))
    assert caught.value.param == "x[1]"


def test_arrays_have_bounds() -> None:
    """Too long and empty are different errors."""
    with pytest.raises(ArrayTooLong) as caught:
        array_of(read_bool, 1)(Cursor([True, True], "x"))
    assert (caught.value.maximum, caught.value.got) == (1, 2)
    with pytest.raises(EmptyArray):
        array_of(read_bool, 1, minimum=1)(Cursor([], "x"))
    assert array_of(read_bool, 1)(Cursor([])) == ()
