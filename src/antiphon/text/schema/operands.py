"""What keywords of a schema say, if they say it in the right form; else which one does not.

Knows nothing of what the keywords mean together.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from antiphon.text.schema.refusal import SchemaUnheld, unsatisfiable

Schema = Mapping[str, object]
Context = tuple[str, ...]

TYPES: Final = ("null", "boolean", "integer", "number", "string", "array", "object")
FAMILIES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
        "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
        "array": frozenset(
            {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains"}
            | {"maxContains", "unevaluatedItems", "additionalItems"}
        ),
        "object": frozenset(
            {"properties", "patternProperties", "additionalProperties", "required", "minProperties"}
            | {"maxProperties", "propertyNames", "dependentRequired", "dependentSchemas", "dependencies"}
            | {"unevaluatedProperties"}
        ),
    }
)
"""Keywords by the type they speak of."""
_UNBOUNDED: Final = 1 << 20
"""Lengths from here on are longer than any answer, and say nothing."""


def limits(schema: Schema, low: str, high: str, context: Context) -> tuple[int, int | None]:
    """The bounds of a size: the least, and the greatest unless it says nothing.

    Raises:
        SchemaUnheld: they are none, or exclude each other.
    """
    least, most = _count(schema, low, context) or 0, _count(schema, high, context)
    if most is not None and least > most:
        raise unsatisfiable(context, f"'{low}' is greater than '{high}'")
    return least, None if most is None or most >= _UNBOUNDED else most


def _count(schema: Schema, keyword: str, context: Context) -> int | None:
    value = schema.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        raise SchemaUnheld(f"'{keyword}' must be a non-negative integer.", context)
    return int(value)


def given(**keywords: int | None) -> dict[str, object]:
    """Keywords that have a value."""
    return {name: value for name, value in keywords.items() if value is not None}


def branches_of(schema: Schema, keyword: str, context: Context) -> list[object]:
    """The schemas that a combinator lists.

    Raises:
        SchemaUnheld: it lists none.
    """
    branches = schema[keyword]
    if not isinstance(branches, list) or not branches:
        raise SchemaUnheld(f"'{keyword}' must be a non-empty array.", context)
    return branches


def list_of(value: object) -> list[object]:
    """A list as it is; nothing for anything else."""
    return value if isinstance(value, list) else []


def names_of(value: object, keyword: str, context: Context) -> list[str]:
    """A list of names.

    Raises:
        SchemaUnheld: it is none.
    """
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SchemaUnheld(f"'{keyword}' must be an array of strings.", context)
    return [name for name in value if isinstance(name, str)]


def mapping_of(value: object, keyword: str, context: Context) -> Mapping[str, object]:
    """An object.

    Raises:
        SchemaUnheld: it is none.
    """
    if not isinstance(value, dict):
        raise SchemaUnheld(f"'{keyword}' must be an object.", context)
    return value
