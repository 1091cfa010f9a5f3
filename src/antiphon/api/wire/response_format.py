"""The `response_format` field, and the flat older spellings of it that other servers accept.

`{type: json_object, schema}` and `{type: json_schema, schema}` are read as a schema without
`strict`. Whether a schema can be held is not decided here.
"""

from collections.abc import Mapping

from antiphon.api.wire.reader import (
    ABSENT,
    Cursor,
    one_of,
    optional,
    read_bool,
    read_object,
    read_string,
    string,
)
from antiphon.core.errors import InvalidValue
from antiphon.core.messages import JsonObjectFormat, JsonSchemaFormat, ResponseFormat

MAX_NAME_LENGTH = 256
"""Characters of a schema's name. OpenAI stops at 64 and fewer characters; class names of clients do not."""

_FLAT_NAME = "response"
_ANY_OBJECT: Mapping[str, object] = {"type": "object"}
_read_type = one_of("text", "json_object", "json_schema")


def read_response_format(cursor: Cursor) -> ResponseFormat | None:
    """The format, or None for plain text. Unknown keys are ignored."""
    read_object(cursor)
    kind = _read_type(cursor.field("type"))
    if kind == "text":
        return None
    flat = cursor.field("schema")
    if kind == "json_object":
        return JsonObjectFormat() if flat.absent else JsonSchemaFormat(_FLAT_NAME, read_object(flat))
    nested = cursor.field("json_schema")
    if nested.value is ABSENT and not flat.absent:
        strict = optional(cursor.field("strict"), read_bool, False)
        name = optional(cursor.field("name"), _read_name, _FLAT_NAME)
        return JsonSchemaFormat(name, read_object(flat), strict)
    return read_format_of_schema(nested.present())


def read_format_of_schema(cursor: Cursor) -> JsonSchemaFormat:
    """A format from its `name`, `schema` and `strict`."""
    name = _read_name(cursor.field("name"))
    optional(cursor.field("description"), read_string, None)
    schema = optional(cursor.field("schema"), read_object, _ANY_OBJECT)
    return JsonSchemaFormat(name, schema, optional(cursor.field("strict"), read_bool, False))


def _read_name(cursor: Cursor) -> str:
    name = string(MAX_NAME_LENGTH)(cursor)
    if not name:
        reason = f"Invalid '{cursor.path}': empty string. Expected a non-empty string."
        raise InvalidValue(cursor.path, reason, code="empty_string")
    return name
