"""Whether objects under a schema may have names that it does not list.

Where they may, a grammar cannot keep one name from coming twice, and somebody has to watch.
It speaks of schemas as `gate` makes them, and may say yes where the answer is no.
"""

from collections.abc import Iterator, Mapping


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
