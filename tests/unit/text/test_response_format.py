"""Response formats as constraints."""

from antiphon.core.generation import Constraint
from antiphon.core.messages import JsonObjectFormat, JsonSchemaFormat
from antiphon.text.response_format import ANY_OBJECT, constraint_of


def test_plain_text_needs_no_constraint() -> None:
    """Without a response format the model is free."""
    assert constraint_of(None) is None


def test_json_mode_asks_for_an_object() -> None:
    """JSON mode means an object, not any value."""
    assert constraint_of(JsonObjectFormat()) == Constraint("json_schema", '{"type":"object"}')


def test_schema_keeps_the_order_of_its_properties() -> None:
    """Nothing is sorted and nothing is escaped on the way."""
    schema = {"type": "object", "properties": {"zoë": {}, "adam": {}}}
    constraint = constraint_of(JsonSchemaFormat("people", schema))

    assert constraint == Constraint("json_schema", '{"type":"object","properties":{"zoë":{},"adam":{}}}')


def test_format_without_a_schema_asks_for_an_object() -> None:
    """A named format that says nothing else is JSON mode."""
    assert constraint_of(JsonSchemaFormat("anything", {})) == ANY_OBJECT
