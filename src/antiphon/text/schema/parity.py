"""OpenAI's own subset of JSON Schema, with its limits and its words: for servers that refuse what it does.

Only checks: what passes still goes through `gate`. Limits are those published in 2025.
Source: OpenAI's guide "Structured outputs", supported schemas, and the error texts of its API.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from antiphon.text.schema.dialect import Document
from antiphon.text.schema.refusal import SchemaUnheld, not_permitted

MAX_PROPERTIES: Final = 5000
MAX_LEVELS: Final = 10
MAX_CHARACTERS: Final = 120_000
MAX_ENUM_VALUES: Final = 1000
MANY_ENUM_VALUES: Final = 250
MAX_ENUM_CHARACTERS: Final = 15_000

_PERMITTED: Final = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "minItems", "maxItems"}
    | {"enum", "const", "anyOf", "$ref", "$defs", "definitions", "pattern", "format", "multipleOf"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {"title", "description", "default", "examples", "$schema", "$id", "$comment"}
)
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "$comment"})

Schema = Mapping[str, object]
Context = tuple[str, ...]


def check_subset(schema: Schema) -> None:
    """Pass if OpenAI's strict mode takes the schema.

    Raises:
        SchemaUnheld: it does not, in its words.
    """
    if schema.get("type") != "object":
        got = schema.get("type")
        told = f"'type: \"{got}\"'" if got is not None else "'type: \"None\"'"
        raise SchemaUnheld(f"schema must be a JSON Schema of 'type: \"object\"', got {told}.", whole=True)
    tally = _Tally()
    for context, part, level in _parts(schema):
        _check_part(part, context)
        tally.add(part, level)
    tally.check()


def _parts(schema: Schema) -> Iterator[tuple[Context, Schema, int]]:
    """Every schema within a schema, with its place and the level of data that it describes."""
    waiting: list[tuple[Context, object, int]] = [((), schema, 1)]
    document = Document(schema)
    while waiting:
        context, part, level = waiting.pop()
        if not isinstance(part, dict):
            raise SchemaUnheld("schema must have a 'type' key.", context)
        if "$ref" in part:
            document.resolve(part["$ref"], context)
        yield context, part, level
        waiting += reversed([*_inner(context, part, level)])


def _inner(context: Context, part: Schema, level: int) -> Iterator[tuple[Context, object, int]]:
    for keyword, deeper in (("properties", 1), ("$defs", 0), ("definitions", 0)):
        value = part.get(keyword)
        if isinstance(value, dict):
            for name, inner in value.items():
                yield (*context, keyword, name), inner, level + deeper
    if "items" in part:
        yield (*context, "items"), part["items"], level + 1
    branches = part.get("anyOf")
    if isinstance(branches, list):
        for place, inner in enumerate(branches):
            yield (*context, "anyOf", str(place)), inner, level


def _check_part(part: Schema, context: Context) -> None:
    for keyword in part:
        if keyword not in _PERMITTED or (not context and keyword == "anyOf"):
            raise not_permitted(keyword, context)
    if "$ref" in part and part.keys() - _ANNOTATIONS - {"$ref", "$defs", "definitions"}:
        other = min(part.keys() - _ANNOTATIONS - {"$ref"})
        raise SchemaUnheld(f"$ref cannot have keywords {{{other!r}}}.", context)
    types = part.get("type")
    names = types if isinstance(types, list) else [types]
    if "object" in names:
        _check_object(part, context)
    if "array" in names and "items" not in part:
        raise SchemaUnheld("array schema missing items.", context)
    kind = part.get("format")
    if kind is not None and kind not in _FORMATS:
        raise SchemaUnheld(f"{kind!r} is not a valid format.", context)
    if not part.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
        raise SchemaUnheld("schema must have a 'type' key.", context)


def _check_object(part: Schema, context: Context) -> None:
    if part.get("additionalProperties") is not False:
        raise SchemaUnheld("'additionalProperties' is required to be supplied and to be false.", context)
    properties = part.get("properties")
    if not isinstance(properties, dict):
        raise SchemaUnheld("object schema missing properties.", context)
    required = part.get("required")
    listed = required if isinstance(required, list) else []
    missing = next((name for name in properties if name not in listed), None)
    if missing is not None:
        raise SchemaUnheld(
            "'required' is required to be supplied and to be an array including every key in properties. "
            f"Missing '{missing}'.",
            context,
        )
    extra = next((name for name in listed if name not in properties), None)
    if extra is not None:
        raise SchemaUnheld(f"'required' names '{extra}', which is not in properties.", context)


class _Tally:
    """Counts what is limited for a schema as a whole."""

    def __init__(self) -> None:
        self._properties = self._levels = self._characters = self._values = 0

    def add(self, part: Schema, level: int) -> None:
        """One more schema within it."""
        self._levels = max(self._levels, level - (not _has_members(part)))
        for keyword in ("properties", "$defs", "definitions"):
            names = part.get(keyword)
            if isinstance(names, dict):
                self._properties += len(names) if keyword == "properties" else 0
                self._characters += sum(map(len, names))
        values = part.get("enum")
        if isinstance(values, list):
            self._add_values(values)
        if "const" in part:
            self._characters += len(str(part["const"]))

    def _add_values(self, values: list[object]) -> None:
        self._values += len(values)
        characters = sum(len(str(value)) for value in values)
        self._characters += characters
        if len(values) > MANY_ENUM_VALUES and characters > MAX_ENUM_CHARACTERS:
            raise SchemaUnheld(
                f"Expected at most {MAX_ENUM_CHARACTERS} characters in total of an enum with more than "
                f"{MANY_ENUM_VALUES} values, but received {characters}.",
                whole=True,
            )

    def check(self) -> None:
        """Pass if nothing is beyond its limit."""
        if self._levels > MAX_LEVELS:
            reason = f"{self._levels} levels of nesting exceeds limit of {MAX_LEVELS}."
        elif self._properties > MAX_PROPERTIES:
            reason = f"{self._properties} parameters exceeds limit of {MAX_PROPERTIES}."
        elif self._values > MAX_ENUM_VALUES:
            reason = (
                f"Expected at most {MAX_ENUM_VALUES} enum values in total within a single schema when using "
                f"structured outputs, but received {self._values}. Consider reducing the number of enums, or "
                "use 'strict: false' to opt out of structured outputs."
            )
        elif self._characters > MAX_CHARACTERS:
            reason = f"{self._characters} characters of names and values exceeds limit of {MAX_CHARACTERS}."
        else:
            return
        raise SchemaUnheld(reason, whole=True)


def _has_members(part: Schema) -> bool:
    return "properties" in part or "items" in part
