"""Schemas without an end are taken out: no answer is begun that cannot be finished.

`{"properties": {"next": {"$ref": "#"}}, "required": ["next"]}` is satisfied by nothing of finite
size, yet a grammar follows it for ever. Which definitions have a finite value is a least fixed point;
alternatives and optional properties that have none are removed, and where nothing is left the schema
is refused.

Invariant: under the result every reference has a finite value, and no reference leads back to itself
without a property or an item between.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from antiphon.text.schema.refusal import SchemaUnheld, unsatisfiable

_PREFIX: Final = "#/$defs/"
_NOWHERE: Final = "what it asks for is refused by itself or has no end"


def finite(schema: dict[str, Any]) -> dict[str, Any]:
    """The held schema, with what has no end left out.

    Raises:
        SchemaUnheld: nothing of it is left.
    """
    definitions: dict[str, Any] = schema.get("$defs", {})
    _refuse_circles(definitions)
    ending = _ending(definitions)
    if not _ends(schema, ending):
        raise unsatisfiable((), _NOWHERE)
    if len(ending) == len(definitions):
        return schema
    kept = {name: _pruned(definitions[name], ending) for name in definitions if name in ending}
    result = _pruned({key: value for key, value in schema.items() if key != "$defs"}, ending)
    assert isinstance(result, dict)
    return {**result, "$defs": kept}


def _ending(definitions: Mapping[str, Any]) -> set[str]:
    """The definitions that have a finite value."""
    ending: set[str] = set()
    # To and fro: a long chain is mostly in order, one way or the other.
    order = list(definitions)
    changed = True
    while changed:
        changed = False
        order.reverse()
        for name in order:
            if name not in ending and _ends(definitions[name], ending):
                ending.add(name)
                changed = True
    return ending


def _ends(schema: Any, ending: set[str]) -> bool:
    """Whether a schema has a finite value if those definitions have."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema and _name(schema) not in ending:
        return False
    if not all(_ends(part, ending) for part in schema.get("allOf", ())):
        return False
    if "anyOf" in schema and not any(_ends(branch, ending) for branch in schema["anyOf"]):
        return False
    types = schema.get("type", ())
    if types == "object":
        properties, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
        return all(_ends(properties.get(name, rest), ending) for name in schema.get("required", ()))
    if types == "array":
        least = schema.get("minItems", 0)
        first = schema.get("prefixItems", ())
        needed = [*first[:least], *([schema.get("items", True)] if least > len(first) else [])]
        return all(_ends(item, ending) for item in needed)
    return True


def _pruned(schema: Any, ending: set[str]) -> Any:
    if isinstance(schema, bool):
        return schema
    if not _ends(schema, ending):
        return False
    result: dict[str, Any] = {}
    for keyword, value in schema.items():
        match keyword:
            case "properties" | "patternProperties":
                result[keyword] = {name: _pruned(part, ending) for name, part in value.items()}
            case "additionalProperties" | "items":
                result[keyword] = _pruned(value, ending)
            case "prefixItems" | "allOf":
                result[keyword] = [_pruned(part, ending) for part in value]
            case "anyOf":
                result[keyword] = [_pruned(part, ending) for part in value if _ends(part, ending)]
            case _:
                result[keyword] = value
    return result


def _refuse_circles(definitions: Mapping[str, Any]) -> None:
    """Refuse references that lead back to themselves without a step into the value."""
    done: set[str] = set()
    for start in definitions:
        path: list[tuple[str, Iterator[str]]] = [(start, _same_place(definitions[start]))]
        active = {start}
        while path:
            name, following = path[-1]
            step = next(following, None)
            if step is None:
                path.pop()
                active.discard(name)
                done.add(name)
            elif step in active:
                raise SchemaUnheld("'$ref' leads back to itself.")
            elif step not in done:
                active.add(step)
                path.append((step, _same_place(definitions[step])))


def _same_place(schema: Any) -> Iterator[str]:
    """The definitions that speak of the same value."""
    if isinstance(schema, bool):
        return
    if "$ref" in schema:
        yield _name(schema)
    for part in (*schema.get("allOf", ()), *schema.get("anyOf", ())):
        yield from _same_place(part)


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).removeprefix(_PREFIX)
