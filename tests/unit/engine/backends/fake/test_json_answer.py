"""The fake engine's JSON: valid where it answers, honest where it does not."""

import json
import re
from random import Random
from typing import Any

import jsonschema
import pytest

from antiphon.core.errors import SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.engine.backends.fake.held_answer import check_constraint
from antiphon.engine.backends.fake.json_answer import json_answer, json_text

TREE = {
    "type": "object",
    "properties": {"left": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "size": {"type": "integer"}},
    "required": ["left", "size"],
}
FOREST = {
    "$defs": {"tree": {"type": "object", "properties": {"twigs": {"items": {"$ref": "#/$defs/tree"}}}}},
    "$ref": "#/$defs/tree",
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "object"},
        {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "boolean"}}},
        {"type": "array", "items": {"type": "number"}, "minItems": 3},
        {"type": "array", "maxItems": 1},
        {"type": "string", "minLength": 20, "maxLength": 21},
        {"type": "integer", "minimum": 3, "maximum": 3},
        {"type": "integer", "maximum": -500},
        {"type": "number", "minimum": 0.001, "maximum": 0.002},
        {"type": ["null", "string"]},
        {"enum": ["a", 1, None], "type": "integer", "title": "One"},
        {"const": {"deep": [1]}},
        {"type": "integer", "enum": [True, 4]},
        TREE,
        FOREST,
    ],
)
def test_answer_is_valid(schema: Any, seed: int) -> None:
    """Whatever chance decides, the answer is valid and compact."""
    text = json_answer(Constraint("json_schema", json.dumps(schema)), Random(seed))
    value = json.loads(text)
    jsonschema.validate(value, schema)

    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def test_keys_come_in_the_schema_s_order() -> None:
    """Order is that of `properties`."""
    schema = {"properties": {name: {"type": "null"} for name in "zay"}, "required": ["a", "y", "z"]}

    assert (
        json_answer(Constraint("json_schema", json.dumps(schema)), Random(1))
        == '{"z":null,"a":null,"y":null}'
    )


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "string", "minLength": 5, "maxLength": 2}, "greater than"),
        ({"type": "string", "format": "date"}, "'format'"),
        ({"type": "string", "minLength": 10**9}, "too large"),
        ({"type": "array", "minItems": 10**9}, "too large"),
        ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, "no integer"),
        ({"type": "integer", "minimum": "1"}, "must be a number"),
        ({"type": "thing"}, "names no type"),
        ({"type": []}, "names no type"),
        ({"enum": []}, "no listed value"),
        ({"enum": "ab"}, "a list is needed"),
        ({"const": 1, "type": "string"}, "no listed value"),
        ({"anyOf": []}, "needs a branch"),
        ({"anyOf": [{}], "type": "string"}, "'type'"),
        ({"allOf": [{}]}, "'allOf'"),
        ({"$ref": "#"}, "too large"),
        ({"$ref": "#/$defs/x"}, "leads nowhere"),
        ({"$ref": "https://example.com/x"}, "into the schema itself"),
        ({"type": "object", "required": ["a"]}, "under 'properties'"),
        ({"type": "object", "properties": []}, "under 'properties'"),
        (False, "nothing"),
    ],
)
def test_schema_beyond_the_fake_is_refused(schema: Any, reason: str) -> None:
    """What it cannot answer for is refused, and says why."""
    with pytest.raises(SchemaRefused) as refused:
        check_constraint(Constraint("json_schema", json.dumps(schema)))

    assert reason in refused.value.reason


def test_schema_that_is_not_json_is_refused() -> None:
    """Whoever wrote it."""
    with pytest.raises(SchemaRefused) as refused:
        check_constraint(Constraint("json_schema", "{"))

    assert "not JSON" in refused.value.reason


def test_pattern_is_matched() -> None:
    """As a whole, and alone among what a schema says of a text."""
    schema = {"type": "string", "pattern": '^(?:a"[0-9]{2})$'}

    assert re.fullmatch('a"[0-9]{2}', json.loads(json_text(json.dumps(schema), Random(0))))
    with pytest.raises(SchemaRefused):
        json_text(json.dumps({**schema, "minLength": 3}), Random(0))
