"""The response format and its older spellings."""

import pytest

from antiphon.api.wire.reader import Cursor
from antiphon.api.wire.response_format import read_response_format
from antiphon.core.errors import InvalidRequest, InvalidType, InvalidValue, MissingParameter, StringTooLong
from antiphon.core.messages import JsonObjectFormat, JsonSchemaFormat, ResponseFormat

SCHEMA = {"type": "object", "properties": {"b": {}, "a": {}}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "text", "x": 1}, None),
        ({"type": "json_object"}, JsonObjectFormat()),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            JsonSchemaFormat("n", SCHEMA, True),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "Page[Item]", "schema": SCHEMA, "strict": None}},
            JsonSchemaFormat("Page[Item]", SCHEMA, False),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "description": "d"}, "strict": True},
            JsonSchemaFormat("n", {"type": "object"}, False),
        ),
        ({"type": "json_object", "schema": SCHEMA}, JsonSchemaFormat("response", SCHEMA, False)),
        ({"type": "json_schema", "schema": SCHEMA}, JsonSchemaFormat("response", SCHEMA, False)),
        (
            {"type": "json_schema", "name": "n", "strict": True, "schema": SCHEMA},
            JsonSchemaFormat("n", SCHEMA, True),
        ),
    ],
)
def test_format_is_read(value: object, expected: ResponseFormat | None) -> None:
    """Today's forms and the flat ones of older clients."""
    assert read_response_format(Cursor(value, "response_format")) == expected


@pytest.mark.parametrize(
    ("value", "error", "param"),
    [
        ("json", InvalidType, "response_format"),
        ({}, MissingParameter, "response_format.type"),
        ({"type": "xml"}, InvalidValue, "response_format.type"),
        ({"type": "json_schema"}, MissingParameter, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": None}, MissingParameter, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": []}, InvalidType, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {}}, MissingParameter, "response_format.json_schema.name"),
        (
            {"type": "json_schema", "json_schema": {"name": ""}},
            InvalidValue,
            "response_format.json_schema.name",
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n" * 257}},
            StringTooLong,
            "response_format.json_schema.name",
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": True}},
            InvalidType,
            "response_format.json_schema.schema",
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "strict": "yes"}},
            InvalidType,
            "response_format.json_schema.strict",
        ),
        ({"type": "json_object", "schema": "{}"}, InvalidType, "response_format.schema"),
    ],
)
def test_bad_format_is_refused_with_its_path(value: object, error: type[InvalidRequest], param: str) -> None:
    """The first violation, where it is."""
    with pytest.raises(error) as caught:
        read_response_format(Cursor(value, "response_format"))
    assert caught.value.param == param


def test_order_of_properties_is_kept() -> None:
    """Answers have their keys in the schema's order."""
    value = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    read = read_response_format(Cursor(value))
    assert isinstance(read, JsonSchemaFormat)
    assert list(read.schema["properties"]) == ["b", "a"]  # type: ignore[call-overload]
