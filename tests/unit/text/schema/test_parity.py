"""OpenAI's subset: each rule and each limit, to the letter."""

from typing import Any

import pytest

from antiphon.text.schema.parity import check_subset
from antiphon.text.schema.refusal import SchemaUnheld


def thing(**properties: object) -> dict[str, Any]:
    """An object as OpenAI wants it."""
    closed = {"required": list(properties), "additionalProperties": False}
    return {"type": "object", "properties": properties, **closed}


def refusal(schema: dict[str, Any]) -> tuple[str, tuple[str, ...] | None]:
    """The reason, and the place unless it is the whole."""
    with pytest.raises(SchemaUnheld) as refused:
        check_subset(schema)
    return refused.value.reason, None if refused.value.whole else refused.value.context


def nested(levels: int) -> dict[str, Any]:
    """Objects inside each other."""
    schema = thing(x={"type": "string"})
    for _ in range(levels - 1):
        schema = thing(x=schema)
    return schema


STRING = {"type": "string"}
OPEN = "'additionalProperties' is required to be supplied and to be false."
MISSING = (
    "'required' is required to be supplied and to be an array including every key in properties. Missing 'x'."
)
ARRAY = "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'."
BARE = {"type": "object", "additionalProperties": False}
LONG = {"type": "array", "items": {"type": "string", "maxLength": 3}}


def test_subset_is_taken() -> None:
    """Everything that is supported, at its limit."""
    node = thing(value={"type": ["string", "null"], "format": "date"}, next={"$ref": "#"})
    check_subset(node | {"$defs": {"a": STRING}, "title": "t"})
    check_subset(thing(a={"anyOf": [STRING, {"type": "null"}]}, b={"type": "array", "items": {"enum": [1]}}))
    check_subset(nested(10))


@pytest.mark.parametrize(
    ("schema", "reason", "context"),
    [
        ({"type": "array", "items": {}}, ARRAY, None),
        (thing(a=STRING) | {"additionalProperties": True}, OPEN, ()),
        (thing(a=STRING, x=STRING) | {"required": ["a"]}, MISSING, ()),
        (thing(a={"type": "array"}), "array schema missing items.", ("properties", "a")),
        (thing(a=BARE), "object schema missing properties.", ("properties", "a")),
        (thing(a={"oneOf": [STRING]}), "'oneOf' is not permitted.", ("properties", "a")),
        (thing(a=LONG), "'maxLength' is not permitted.", ("properties", "a", "items")),
        (
            thing(a={"anyOf": [STRING, {"allOf": []}]}),
            "'allOf' is not permitted.",
            ("properties", "a", "anyOf", "1"),
        ),
        (thing(a={"type": "string", "format": "uri"}), "'uri' is not a valid format.", ("properties", "a")),
        (thing(a={}), "schema must have a 'type' key.", ("properties", "a")),
        (nested(11), "11 levels of nesting exceeds limit of 10.", None),
        (thing(**{f"p{i}": STRING for i in range(6000)}), "6000 parameters exceeds limit of 5000.", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_openai_refuses_is_refused_in_its_words(
    schema: dict[str, Any], reason: str, context: tuple[str, ...] | None
) -> None:
    """With the place where it gives one."""
    assert refusal(schema) == (reason, context)


def test_enumerations_have_limits() -> None:
    """In values, and in characters where there are many."""
    many = thing(a={"enum": list(range(1001))})
    long = thing(a={"enum": [f"{i:080}" for i in range(251)]})

    assert refusal(many)[0].startswith("Expected at most 1000 enum values in total within a single schema")
    assert "15000 characters" in refusal(long)[0]
    assert "120000" in refusal(thing(**{"x" * 1000 + str(i): STRING for i in range(121)}))[0]
