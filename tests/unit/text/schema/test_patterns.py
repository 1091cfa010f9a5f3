"""Patterns: what they match narrowly, and what is no pattern."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.service.schemas import constraint_of
from antiphon.text.schema.gate import held
from antiphon.text.schema.patterns import PatternRefused, strict_pattern
from antiphon.text.schema.validator import AnswerValidator
from tests.byte_grammar import accepts, byte_compiler

COMPILER = byte_compiler()

HELD = [
    r"^\d+$", r"^\w+@\w+$", r"a|b", "^[a-z]{2,3}$", r"^[\w.-]+$", r"^(?:a)(?<n>b)$", r"^\x41B$",
    r"^\/a\/$", r"^[^\W]+$", r"^\$[0-9]+$", r"^]$", r"^{$", "^a{2$", r"^[^a]$", r"^.$", r"^a+?$", "^[-a]$",
    r"^[&&~]$", r"^\u{1F600}$", r"^[]$]?$".replace("[]$]", "[$]"), "", "^$",
]  # fmt: skip


REFUSED = [
    r"(?=a)b", r"(?!a)", r"(?<=a)b", r"(a)\1", r"\bfoo", r"\Aa\Z", "foo**", "^+a", "^{2}x", "(", ")",
    "a{3,2}",
    "[b-a]", r"[a-\d]", r"\x4", r"\uD800", "[", "(?i)a", "(?i:a)", "a{999999}", "\\", "[]",
    "(" * 100 + ")" * 100,
]  # fmt: skip


@pytest.mark.parametrize("pattern", HELD)
def test_pattern_can_be_held(pattern: str) -> None:
    """It is rewritten, not refused."""
    assert isinstance(strict_pattern(pattern), str)


@pytest.mark.parametrize(
    "pattern",
    REFUSED,
)
def test_what_is_no_regular_expression_is_refused(pattern: str) -> None:
    """With a reason."""
    with pytest.raises(PatternRefused) as refused:
        strict_pattern(pattern)

    assert str(refused.value)


def test_shorthands_are_narrow_where_they_match_and_wide_where_they_exclude() -> None:
    """Whoever checks, in whatever dialect, agrees."""
    assert strict_pattern(r"\d") == "[0-9]"
    assert strict_pattern(r"[^\d]") == r"[^\x00[\p{Nd}]]"
    assert strict_pattern(r"\s") == r"[\t\n\x0B\x0C\r ]"


@pytest.mark.parametrize(
    "pattern",
    [
        r'[^"]',
        r'[^"\\]',
        r"[^ -~]",
        r"\p{Cc}",
        r"[a\p{Cc}]",
        r"[\x00-\x1f]",
        r"[\x00- ]",
        r"\W",
        r"[^\w]",
        r"\s",
    ],
)
def test_class_has_no_quote_or_backslash_that_it_does_not_name(pattern: str) -> None:
    """Also where it has all control characters, which are escaped in JSON like these."""
    schema = {"type": "string", "pattern": f"^{pattern}$"}
    constraint, validator = constraint_of(held(schema)), AnswerValidator(schema)
    taken = [c for c in map(chr, range(1, 128)) if accepts(COMPILER, constraint, json.dumps(c))]

    assert taken
    for character in taken:
        validator.check(json.dumps(character))


@given(st.text("ab|()*+?{}[]^$\\.,-0123dwsDWS:<>=!uxp", max_size=12))
def test_any_text_is_rewritten_or_refused(pattern: str) -> None:
    """Never with another exception."""
    try:
        strict_pattern(pattern)
    except PatternRefused:
        return


@given(st.from_regex(re.compile("[ab]{1,3}(?:[ab]|c?)*"), fullmatch=True))
def test_plain_letters_stay(pattern: str) -> None:
    """What means itself is not touched."""
    assert strict_pattern(pattern.replace("?", "")) == pattern.replace("?", "")
