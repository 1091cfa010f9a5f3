"""Response formats as schemas and constraints."""

from antiphon.core.generation import Constraint
from antiphon.core.messages import ChoiceFormat, JsonObjectFormat, JsonSchemaFormat, PatternFormat
from antiphon.text.response_format import ANY_OBJECT, schema_of, text_constraint


def test_json_mode_asks_for_an_object() -> None:
    """JSON mode means an object, not any value; so does a named format that says nothing else."""
    assert schema_of(JsonObjectFormat()) == {"type": "object"}
    assert schema_of(JsonSchemaFormat("anything", {})) == ANY_OBJECT


def test_schema_is_the_callers() -> None:
    """Nothing is sorted on the way."""
    schema = {"type": "object", "properties": {"zoë": {}, "adam": {}}}

    assert schema_of(JsonSchemaFormat("people", schema)) is schema


def test_pattern_is_passed_on() -> None:
    """In the language it is written in."""
    assert text_constraint(PatternFormat("regex", "a+", "guided_regex")) == Constraint("regex", "a+")


def test_choice_is_a_grammar_of_its_texts() -> None:
    """Quoted, in their order."""
    wanted = ChoiceFormat(("a", 'b"'), "guided_choice")

    assert text_constraint(wanted) == Constraint("lark", 'start: "a" | "b\\""\n')
