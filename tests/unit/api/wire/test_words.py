"""Values in words."""

import pytest

from antiphon.api.wire.words import choices_text, excerpt, type_name


def test_excerpt_is_short_and_printable() -> None:
    """Cut texts end in an ellipsis; control characters do not survive."""
    assert excerpt("abc") == "abc"
    assert excerpt("x" * 64) == "x" * 64
    assert excerpt("x" * 65) == "x" * 64 + "…"
    assert excerpt("a\r\nb\0\x1b[31m\u2028\ud800") == "a??b??[31m??"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.5, "a decimal number"),
        ("", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
def test_type_name_has_its_article(value: object, name: str) -> None:
    """Every JSON type has a name; a boolean is not an integer."""
    assert type_name(value) == name


def test_choices_read_as_a_list() -> None:
    """One, two or more choices read as English does."""
    assert choices_text(["a"]) == "'a'"
    assert choices_text(["a", "b"]) == "'a' and 'b'"
    assert choices_text(["a", "b", "c"]) == "'a', 'b', and 'c'"
