"""`oneOf` as `anyOf`, where its branches can be shown to exclude each other; what `not` leaves.

The proof looks at types, listed values, ranges, lengths, and at properties that one branch needs and
the other forbids or describes otherwise. What it cannot show it does not claim.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Final

from antiphon.text.schema.dialect import Document
from antiphon.text.schema.operands import TYPES, Context, list_of
from antiphon.text.schema.refusal import not_permitted
from antiphon.text.schema.validator import SchemaMalformed, validator_of
from antiphon.text.schema.values import key_of

_MAX_DEPTH: Final = 8
_MAX_BRANCHES: Final = 200
_MAX_COMPARED: Final = 200_000
"""Listed values that are looked at: 0.2 s."""
_TYPES: Final = frozenset({"null", "boolean", "number", "string", "array", "object"})


def exactly_one(document: Document, branches: Sequence[object]) -> list[object] | None:
    """Branches of which a value satisfies one at most, and the same ones altogether; None: not shown."""
    values = sum(len(_values(branch) or ()) for branch in branches if isinstance(branch, dict))
    if len(branches) > _MAX_BRANCHES or len(branches) * values > _MAX_COMPARED:
        return None
    if all(disjoint(document, *pair, 0) for pair in combinations(branches, 2)):
        return list(branches)
    return _needing_one_property(branches)


def _needing_one_property(branches: Sequence[object]) -> list[object] | None:
    """`oneOf` of `{"required": [name]}`: each name excludes the others."""
    names: list[str] = []
    for branch in branches:
        if not isinstance(branch, dict) or not branch.keys() <= {"required", "type", "title", "description"}:
            return None
        required = branch.get("required")
        if not isinstance(required, list) or len(required) != 1 or not isinstance(required[0], str):
            return None
        names.append(required[0])
    if len(set(names)) < len(names):
        return None
    return [
        {
            "type": "object",
            "required": [name],
            "properties": {other: False for other in names if other != name},
        }
        for name in names
    ]


def negated(schema: object, context: Context) -> object:
    """What `not` leaves, where that can be said in types or by absent properties.

    Raises:
        SchemaUnheld: it cannot.
    """
    if isinstance(schema, bool):
        return not schema
    if isinstance(schema, dict) and not schema:
        return False
    if isinstance(schema, dict) and schema.keys() == {"type"}:
        refused = [schema["type"]] if isinstance(schema["type"], str) else list_of(schema["type"])
        if "integer" not in refused:
            kept = [name for name in TYPES if name not in refused and name != "integer"]
            return {"type": kept} if kept else False
    if isinstance(schema, dict) and schema.keys() == {"required"} and len(list_of(schema["required"])) == 1:
        others = [name for name in TYPES if name not in ("object", "integer")]
        absent = {"type": "object", "properties": {str(list_of(schema["required"])[0]): False}}
        return {"anyOf": [absent, {"type": others}]}
    raise not_permitted("not", context)


def disjoint(document: Document, first: object, second: object, depth: int) -> bool:
    """Whether it is certain that no value satisfies both."""
    first, second = document.followed(first), document.followed(second)
    if first is False or second is False:
        return True
    if depth > _MAX_DEPTH or not isinstance(first, dict) or not isinstance(second, dict):
        return False
    if _by_parts(document, first, second, depth) or _by_parts(document, second, first, depth):
        return True
    values, others = _values(first), _values(second)
    if values is not None or others is not None:
        return _values_disjoint(document, (first, values), (second, others))
    common = _types(first) & _types(second)
    return all(_of_type_disjoint(document, name, first, second, depth) for name in common)


def _by_parts(document: Document, first: Mapping[str, object], second: object, depth: int) -> bool:
    """Whether one part of `allOf`, or every branch of alternatives, excludes the other schema."""
    if any(disjoint(document, part, second, depth + 1) for part in _listed(first, "allOf")):
        return True
    if "$ref" in first and disjoint(document, {"$ref": first["$ref"]}, second, depth + 1):
        return len(first) > 1
    for keyword in ("anyOf", "oneOf"):
        branches = _listed(first, keyword)
        if branches and all(disjoint(document, branch, second, depth + 1) for branch in branches):
            return True
    return False


_Listed = tuple[Mapping[str, object], list[object] | None]


def _values_disjoint(document: Document, first: _Listed, second: _Listed) -> bool:
    (schema, values), (other, others) = first, second
    if values is not None and others is not None:
        return not {key_of(value) for value in values} & {key_of(other) for other in others}
    if values is None:
        schema, values, other = other, others, schema
    assert values is not None
    shared: dict[str, object] = {
        key: document.root[key] for key in ("$defs", "definitions") if key in document.root
    }
    try:
        allows = validator_of({**shared, **other}).is_valid
    except SchemaMalformed:
        return False
    return not any(allows(value) for value in values)


def _of_type_disjoint(
    document: Document, name: str, first: Mapping[str, object], second: Mapping[str, object], depth: int
) -> bool:
    match name:
        case "number":
            return _apart(first, second, ("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
        case "string":
            return _apart(first, second, ("minLength",), ("maxLength",))
        case "array":
            return _apart(first, second, ("minItems",), ("maxItems",))
        case "object":
            return _objects_disjoint(document, first, second, depth)
        case _:
            return False


def _apart(
    first: Mapping[str, object], second: Mapping[str, object], lows: tuple[str, ...], highs: tuple[str, ...]
) -> bool:
    """Whether one schema's values all lie above the other's."""
    return any(
        (least := _bound(above, low)) is not None
        and (most := _bound(below, high)) is not None
        and (least > most or (least == most and "exclusive" in (low + high)))
        for above, below in ((first, second), (second, first))
        for low in lows
        for high in highs
    )


def _bound(schema: Mapping[str, object], keyword: str) -> Fraction | None:
    value = schema.get(keyword)
    return Fraction(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _objects_disjoint(
    document: Document, first: Mapping[str, object], second: Mapping[str, object], depth: int
) -> bool:
    needed = {name for schema in (first, second) for name in _listed(schema, "required")}
    return any(
        disjoint(document, _property(first, name), _property(second, name), depth + 1)
        for name in needed
        if isinstance(name, str)
    )


def _property(schema: Mapping[str, object], name: str) -> object:
    """What a schema says of a property, or more than that."""
    properties = schema.get("properties")
    if isinstance(properties, dict) and name in properties:
        return properties[name]
    if schema.get("patternProperties"):
        return True
    return schema.get("additionalProperties", True)


def _values(schema: Mapping[str, object]) -> list[object] | None:
    if "const" in schema:
        return [schema["const"]]
    return _listed(schema, "enum") if "enum" in schema else None


def _types(schema: Mapping[str, object]) -> frozenset[str]:
    declared = schema.get("type")
    names = [declared] if isinstance(declared, str) else declared if isinstance(declared, list) else _TYPES
    return frozenset("number" if name == "integer" else str(name) for name in names)


def _listed(schema: Mapping[str, object], keyword: str) -> list[object]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []
