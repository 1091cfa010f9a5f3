"""What is held, what is rewritten, and what is refused with which words."""

from typing import Any

import pytest

from antiphon.text.schema.gate import held
from antiphon.text.schema.refusal import SchemaUnheld

SHORT = {"type": "string", "maxLength": 3}
CLOSED = {"additionalProperties": False}


def refusal(schema: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The reason and the place."""
    with pytest.raises(SchemaUnheld) as refused:
        held(schema)
    return refused.value.reason, refused.value.context


def thing(**properties: object) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {"type": "object", "properties": properties, **CLOSED}


def test_plain_schema_stays_as_it_is() -> None:
    """Names and their order above all."""
    schema = thing(b=SHORT, a={"type": "boolean"}) | {"required": ["a"]}

    assert held(schema) == schema
    assert list(held(schema)["properties"]) == ["b", "a"]  # type: ignore[call-overload]


def test_properties_that_nobody_described_are_left_out() -> None:
    """Unless the schema asks for them."""
    assert held({"type": "object", "properties": {"a": SHORT}})["additionalProperties"] is False
    assert held({"type": "object", "properties": {}, "required": ["z"]})["additionalProperties"] is not False


def test_annotations_and_unknown_keywords_say_nothing() -> None:
    """They are not for the grammar."""
    assert held(SHORT | {"title": "t", "default": 1, "nullable": True, "x-order": 3}) == SHORT


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("oneOf", [{"type": "integer"}, {"type": "number"}]),
        ("not", {"minimum": 3}),
        ("dependentSchemas", {"a": {}}),
        ("dependencies", {"a": ["b"]}),
        ("unevaluatedProperties", False),
        ("unevaluatedItems", False),
        ("$dynamicRef", "#a"),
    ],
)
def test_keyword_that_cannot_be_held_is_refused_with_its_place(keyword: str, value: object) -> None:
    """In OpenAI's words."""
    schema = thing(a={"type": "array", "items": {keyword: value}})

    assert refusal(schema) == (f"'{keyword}' is not permitted.", ("properties", "a", "items"))


@pytest.mark.parametrize("keyword", ["uniqueItems", "contains"])
def test_array_keyword_that_cannot_be_held_is_refused(keyword: str) -> None:
    """Where nothing else of the schema makes it easy."""
    schema = {"type": "array", "items": {"type": "string"}, keyword: True}

    assert refusal(schema) == (f"'{keyword}' is not permitted.", ())


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "integer", "minimum": 7, "maximum": 7, "multipleOf": 2},
        {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 1},
        {"type": "integer", "enum": ["a", 1.5]},
        {"type": "string", "const": 5},
        {"enum": ["hi"], "not": {"const": "hi"}},
        {"type": "string", "enum": ["abc"], "pattern": "^[0-9]+$"},
        {"enum": []},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "items": {"enum": ["x"]}, "uniqueItems": True, "minItems": 2},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"anyOf": [False, {"type": "string", "minLength": 2, "maxLength": 1}]},
        {"not": {}},
    ],
    ids=str,
)
def test_schema_that_nothing_satisfies_is_refused(schema: dict[str, Any]) -> None:
    """Rather than answered with something else."""
    reason, _ = refusal(schema)

    assert reason.startswith("no value can satisfy it")


def test_branches_and_properties_that_nothing_satisfies_are_left_out() -> None:
    """What is left is still an answer."""
    impossible = {"type": "string", "minLength": 2, "maxLength": 1}

    assert held({"anyOf": [impossible, SHORT]}) == SHORT
    assert held(thing(a=impossible, b=SHORT))["properties"] == {"a": False, "b": SHORT}


def test_listed_values_are_those_that_all_keywords_allow() -> None:
    """`not`, `pattern`, `type` and bounds beside `enum` are worked out here."""
    assert held({"enum": ["hi", "no"], "not": {"const": "hi"}}) == {"const": "no"}
    assert held({"type": ["string", "null"], "enum": ["a", None, 3]}) == {"enum": ["a", None]}
    assert held({"enum": [1, 5, 9], "minimum": 4, "multipleOf": 3}) == {"const": 9}


def test_one_of_exclusive_branches_becomes_any_of() -> None:
    """By type, by a tag, by range, or by the one property that each needs."""
    tagged = [thing(kind={"const": kind}, v=SHORT) | {"required": ["kind", "v"]} for kind in "ab"]
    apart = [{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 4}]
    needed = {"type": "object", "properties": {"a": SHORT, "b": SHORT}, **CLOSED}

    assert held({"oneOf": tagged}) == {"anyOf": tagged}
    assert "anyOf" in held({"oneOf": apart})
    assert "allOf" in held(needed | {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]})
    assert refusal({"oneOf": [apart[0], {"type": "integer", "minimum": 3}]})[0] == "'oneOf' is not permitted."


def test_few_unique_values_are_listed() -> None:
    """As all the arrays there can be."""
    schema = {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True, "minItems": 2}

    assert held(schema) == {"enum": [["a", "b"], ["b", "a"]]}
    assert held({"type": "array", "items": SHORT, "uniqueItems": True, "maxItems": 1})["maxItems"] == 1


def test_recursive_schema_keeps_what_has_an_end() -> None:
    """A list ends in null; an object that needs itself is no way to go on."""
    node = thing(next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}) | {"required": ["next"]}
    endless = thing(again={"$ref": "#/$defs/endless"}) | {"required": ["again"]}
    schema = thing(a={"$ref": "#/$defs/node"}, b={"$ref": "#/$defs/endless"})
    result: Any = held(schema | {"$defs": {"node": node, "endless": endless}})

    assert result["properties"]["b"] is False
    assert len(result["$defs"]) == 1
    assert refusal({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}})[0].startswith(
        "'$ref'"
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/nowhere"},
        {"$ref": "http://example.com/s"},
        {"$ref": 3},
        {"$schema": "mine", "type": "null"},
    ],
    ids=str,
)
def test_reference_out_of_the_schema_is_refused(schema: dict[str, Any]) -> None:
    """Nothing is fetched and nothing guessed."""
    assert refusal(schema)[0].startswith("'$")


def test_older_drafts_are_read_in_their_own_words() -> None:
    """Where `$schema` names one."""
    draft = {"$schema": "http://json-schema.org/draft-04/schema#"}
    tuple_ = {"type": "array", "items": [SHORT], "additionalItems": False}
    excluded = {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 5}

    assert held(draft | tuple_) == {"type": "array", "prefixItems": [SHORT], "items": False}
    assert held(draft | excluded) == {"type": "integer", "minimum": 4, "maximum": 5}
    assert "'items' must be a schema" in refusal(tuple_)[0]


def test_format_is_a_pattern_or_refused() -> None:
    """A leap day needs a leap year; names that forbid nothing are ignored."""
    assert str(held({"type": "string", "format": "date"})["pattern"]).endswith("-02-29)$")
    assert held({"type": "string", "format": "password"}) == {"type": "string"}
    assert refusal({"type": "string", "format": "regex"}) == ("'regex' is not a valid format.", ())


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"type": []},
        {"type": "object", "properties": []},
        {"type": "object", "required": "a"},
        {"type": "string", "minLength": "3"},
        {"type": "string", "pattern": 3},
        {"enum": "a"},
        {"anyOf": []},
        {"type": "array", "items": 3},
    ],
    ids=str,
)
def test_malformed_schema_is_refused(schema: dict[str, Any]) -> None:
    """With a reason, never with an exception of another kind."""
    assert refusal(schema)[0]


def test_deep_and_wide_schemas_are_refused() -> None:
    """Before anybody recurses for long."""
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"type": "array", "items": deep}
    wide = {"anyOf": [SHORT] * 30_000}

    assert "nested" in refusal(deep)[0]
    assert "more than" in refusal(wide)[0]


def test_long_chain_of_references_is_held() -> None:
    """However long: it is no nesting."""
    count = 3_000
    chain = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(count)} | {f"d{count}": {"type": "null"}}

    assert held({"$ref": "#/$defs/d0", "$defs": chain})["$ref"] == "#/$defs/d0"


def test_definition_that_nothing_satisfies_is_left_out_wherever_it_is_named() -> None:
    """An alternative goes, a second mention of it too."""
    never = {"type": "integer", "minimum": 3, "maximum": 2}
    either = {"anyOf": [{"$ref": "#/$defs/never"}, {"type": "null"}]}
    schema = {"type": "object", "properties": {"a": either, "b": either}, "$defs": {"never": never}}

    left = {"anyOf": [{"type": "null"}]}

    assert held(schema)["properties"] == {"a": left, "b": left}


@pytest.mark.parametrize(
    "listed", [[{"a": i, "b": [i]} for i in range(3_000)], [[i, 1] for i in range(3_000)]]
)
def test_long_lists_of_values_are_read_once(listed: list[object]) -> None:
    """Equal ones count once, in their first place, and only equal ones."""
    assert held({"enum": [*listed, 1, True, 1.0, *listed]}) == {"enum": [*listed, 1, True]}
