"""Which of some listed values the rest of a schema allows."""

from collections.abc import Mapping, Sequence
from typing import Final

from antiphon.text.schema.dialect import Document
from antiphon.text.schema.refusal import SchemaUnheld
from antiphon.text.schema.validator import SchemaMalformed, validator_of

_SAYS_NOTHING: Final = frozenset({"title", "description", "default", "examples", "$comment", "deprecated"})


def valid_values(
    document: Document, schema: Mapping[str, object], values: Sequence[object], context: tuple[str, ...]
) -> list[object]:
    """The values that satisfy every keyword of the schema, none twice.

    Raises:
        SchemaUnheld: a value cannot be written exactly, or the schema is malformed.
    """
    for value in values:
        if not _is_exact(value):
            raise SchemaUnheld("a listed number cannot be told from its neighbours.", context)
    rest = {key: value for key, value in schema.items() if key not in ("enum", "const", *_SAYS_NOTHING)}
    if not rest:
        return _distinct(values)
    shared: dict[str, object] = {
        key: document.root[key] for key in ("$defs", "definitions") if key in document.root
    }
    try:
        allows = validator_of({**shared, **rest}).is_valid
    except SchemaMalformed as malformed:
        raise SchemaUnheld(str(malformed), context) from None
    return _distinct([value for value in values if allows(value)])


def key_of(value: object) -> object:
    """A hashable value, equal for equal JSON values and for no others."""
    match value:
        case bool():
            return "bool", value
        case list():
            return "array", tuple(map(key_of, value))
        case dict():
            return "object", frozenset((name, key_of(each)) for name, each in value.items())
        case _:
            return value


def _distinct(values: Sequence[object]) -> list[object]:
    first_of: dict[object, object] = {}
    for value in values:
        first_of.setdefault(key_of(value), value)
    return list(first_of.values())


def _is_exact(value: object) -> bool:
    """Whether a double holds the number, or all numbers within."""
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) < 2**1000 and int(float(value)) == value
    if isinstance(value, list):
        return all(map(_is_exact, value))
    if isinstance(value, dict):
        return all(map(_is_exact, value.values()))
    return True
