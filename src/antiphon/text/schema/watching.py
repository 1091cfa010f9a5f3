"""Whether values under a schema may be what no grammar can keep out, so that somebody has to watch.

Those are objects with a name twice and numbers beyond all doubles, where names or values are free, and
values that are nested deeper than clients read, where a definition leads back to itself.
It speaks of schemas as `gate` makes them, and may say yes where the answer is no.
"""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final

_PREFIX: Final = "#/$defs/"
_LONGEST: Final = 4
"""Definitions that lead from one to the next; each is nested less than 64 deep, as requests are."""


def needs_watching(schema: object) -> bool:
    """Whether some value may have a name twice, be no double, or be nested deeper than `MAX_DEPTH`."""
    return has_free_names(schema) or is_deep(schema)


def is_deep(schema: object) -> bool:
    """Whether definitions lead on from one to the next for ever, or for long."""
    named = schema.get("$defs", {}) if isinstance(schema, Mapping) else {}
    leads = {_PREFIX + name: set(_references(part)) for name, part in named.items()}
    longest: dict[str, int] = {}
    try:
        for name in TopologicalSorter(leads).static_order():
            longest[name] = 1 + max((longest[target] for target in leads.get(name, ())), default=0)
    except CycleError:
        return True
    return max(longest.values(), default=0) > _LONGEST


def _references(schema: object) -> Iterator[str]:
    """All there are in it, and in what it lists."""
    if isinstance(schema, Mapping):
        target = schema.get("$ref")
        if isinstance(target, str):
            yield target
    parts = schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ()
    for part in parts:
        yield from _references(part)


def has_free_names(schema: object) -> bool:
    """Whether some object may have a name that is not listed."""
    if not isinstance(schema, Mapping):
        return schema is not False
    if "enum" in schema or "const" in schema:
        return False
    return _is_free(schema) or any(map(has_free_names, _parts(schema)))


def _is_free(schema: Mapping[str, object]) -> bool:
    """Whether that is so of the value itself, or of what is not described in it."""
    types = schema.get("type")
    if types is None:
        return not schema.keys() & {"$ref", "anyOf", "allOf"}
    if "object" in (types if isinstance(types, list) else [types]):
        return schema.get("additionalProperties") is not False or bool(schema.get("patternProperties"))
    return "array" in (types if isinstance(types, list) else [types]) and "items" not in schema


def _parts(schema: Mapping[str, object]) -> Iterator[object]:
    for keyword in ("properties", "$defs"):
        named = schema.get(keyword, {})
        yield from named.values() if isinstance(named, Mapping) else ()
    for keyword in ("prefixItems", "anyOf", "allOf"):
        listed = schema.get(keyword, [])
        yield from listed if isinstance(listed, list) else ()
    if "items" in schema:
        yield schema["items"]
