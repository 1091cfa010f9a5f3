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


def same(first: object, second: object) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return first == second


def _distinct(values: Sequence[object]) -> list[object]:
    if len(values) > _MANY and all(isinstance(value, str) for value in values):
        return list(dict.fromkeys(values))
    kept: list[object] = []
    for value in values:
        if not any(same(value, other) for other in kept[-_MANY:]):
            kept.append(value)
    return kept


_MANY: Final = 500


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
