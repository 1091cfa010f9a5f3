"""What other servers call guided decoding, read as response formats."""

import json

import pytest

from antiphon.api.wire.guided import (
    MAX_CHOICES,
    read_guided_choice,
    read_guided_grammar,
    read_guided_json,
    read_guided_regex,
    read_structured_outputs,
)
from antiphon.api.wire.reader import Cursor
from antiphon.core.errors import (
    ArrayTooLong,
    EmptyArray,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    UnsupportedParameter,
)
from antiphon.core.messages import ChoiceFormat, JsonObjectFormat, JsonSchemaFormat, PatternFormat

SCHEMA = {"type": "object", "properties": {"b": {}, "a": {}}}


@pytest.mark.parametrize("value", [SCHEMA, '{"type": "object", "properties": {"b": {}, "a": {}}}'])
def test_schema_is_an_object_or_its_text(value: object) -> None:
    """It is held strictly, with its properties in the order they were sent."""
    wanted = read_guided_json(Cursor(value, "guided_json"))
    assert wanted == JsonSchemaFormat("guided_json", SCHEMA, strict=True)
    assert json.dumps(wanted.schema) == json.dumps(SCHEMA)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("{", InvalidValue),
        ("[" * 100_000, InvalidValue),
        ("[]", InvalidType),
        (1, InvalidType),
        ([], InvalidType),
    ],
)
def test_schema_of_another_kind_is_refused_by_name(value: object, error: type[InvalidRequest]) -> None:
    """Text that is no JSON, and JSON that is no object."""
    with pytest.raises(error) as caught:
        read_guided_json(Cursor(value, "guided_json"))
    assert caught.value.param == "guided_json"


def test_patterns_keep_their_text_and_name() -> None:
    """The name is for errors found when they are compiled."""
    assert read_guided_regex(Cursor("[ab]+", "guided_regex")) == PatternFormat(
        "regex", "[ab]+", "guided_regex"
    )
    assert read_guided_grammar(Cursor('start: "a"', "g")) == PatternFormat("lark", 'start: "a"', "g")


def test_choice_is_one_of_some_texts() -> None:
    """In their order."""
    assert read_guided_choice(Cursor(["b", "a"], "guided_choice")) == ChoiceFormat(
        ("b", "a"), "guided_choice"
    )


@pytest.mark.parametrize(
    ("texts", "error"),
    [([], EmptyArray), (["a", ""], InvalidValue), (["a"] * (MAX_CHOICES + 1), ArrayTooLong)],
)
def test_choice_must_be_possible(texts: list[str], error: type[InvalidRequest]) -> None:
    """At least one text, none of them empty, not too many."""
    with pytest.raises(error) as caught:
        read_guided_choice(Cursor(texts, "guided_choice"))
    assert caught.value.param == "guided_choice"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"json": SCHEMA}, JsonSchemaFormat("structured_outputs.json", SCHEMA, strict=True)),
        ({"regex": "a", "json": None}, PatternFormat("regex", "a", "structured_outputs.regex")),
        ({"grammar": "g"}, PatternFormat("lark", "g", "structured_outputs.grammar")),
        ({"choice": ["a"]}, ChoiceFormat(("a",), "structured_outputs.choice")),
        ({"json_object": True}, JsonObjectFormat()),
        ({"json_object": False}, None),
        ({"whitespace_pattern": None}, None),
        ({}, None),
    ],
)
def test_structured_outputs_hold_one_kind(value: object, wanted: object) -> None:
    """Null is absent, as everywhere."""
    assert read_structured_outputs(Cursor(value, "structured_outputs")) == wanted


def test_two_kinds_at_once_are_refused() -> None:
    """Nobody could say which one was meant."""
    with pytest.raises(InvalidValue) as caught:
        read_structured_outputs(Cursor({"regex": "a", "choice": ["a"]}, "structured_outputs"))
    assert caught.value.param == "structured_outputs"


def test_structural_tags_are_refused_by_name() -> None:
    """A grammar says the same."""
    with pytest.raises(UnsupportedParameter) as caught:
        read_structured_outputs(Cursor({"structural_tag": {}}, "structured_outputs"))
    assert caught.value.param == "structured_outputs.structural_tag"
