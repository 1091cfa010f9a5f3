"""A JSON text that is valid under a simple schema, or an honest refusal.

Understands `type`, `properties`, `required`, `items`, `minItems`, `maxItems`, `minLength`,
`maxLength`, `pattern`, `minimum`, `maximum`, `enum`, `const`, `anyOf` and `$ref` into the schema's own
definitions. Anything else is refused: an answer is never made under half of a schema.

Invariant: chance decides values, never structure; a schema answered once is answered always.
"""

import json
import math
from collections.abc import Mapping, Sequence, Set
from random import Random
from types import MappingProxyType
from typing import NoReturn

from antiphon.core.errors import SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.engine.backends.fake.walked_answer import walked_answer

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

ANNOTATIONS = frozenset(
    {
        "title",
        "description",
        "default",
        "examples",
        "$schema",
        "$id",
        "$comment",
        "$defs",
        "definitions",
        "x-guidance",
    }
)
KEYWORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "object": frozenset({"properties", "required", "additionalProperties"}),
        "array": frozenset({"items", "minItems", "maxItems"}),
        "string": frozenset({"minLength", "maxLength", "pattern"}),
        "integer": frozenset({"minimum", "maximum"}),
        "number": frozenset({"minimum", "maximum"}),
        "boolean": frozenset(),
        "null": frozenset(),
    }
)
PYTHON_TYPES: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "null": (type(None),),
    }
)
WORDS = ("echo", "river", "stone", "lamp", "bird", "tide")
SHALLOW = 4
"""Deeper than this the smallest answer is preferred, so that recursive schemas come to an end."""
MAX_DEPTH = 32
MAX_VALUES = 5_000
MAX_STRING = 10_000


def json_answer(constraint: Constraint, chance: Random) -> str:
    """Compact JSON, valid under the constraint, keys in the schema's order.

    Raises:
        SchemaRefused: the constraint is beyond this module, or nothing can satisfy it.
    """
    if constraint.kind != "json_schema":
        _refuse(f"the fake engine knows no {constraint.kind} constraints.")
    return json_text(constraint.text, chance)


def json_text(schema: str, chance: Random) -> str:
    """The same for a schema's text.

    Raises:
        SchemaRefused: the schema is beyond this module, or nothing can satisfy it.
    """
    try:
        root: Json = json.loads(schema)
    except ValueError:
        _refuse("the schema is not JSON.")
    value = _Answerer(root, chance).value(root, 0)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _refuse(reason: str) -> NoReturn:
    raise SchemaRefused("", reason)


class _Answerer:
    """Walks one schema and makes one value."""

    def __init__(self, root: Json, chance: Random) -> None:
        self._root = root
        self._chance = chance
        self._values = 0

    def value(self, schema: Json, depth: int) -> Json:
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            _refuse("the smallest answer is too large for the fake engine.")
        if schema is False:
            _refuse("'false' can be satisfied by nothing.")
        if not isinstance(schema, dict):
            return self._string({})
        if "$ref" in schema:
            _allow_only(schema, {"$ref"})
            return self.value(self._resolve(schema["$ref"]), depth + 1)
        if "anyOf" in schema:
            _allow_only(schema, {"anyOf"})
            return self.value(_branch(schema["anyOf"], depth), depth + 1)
        if "const" in schema or "enum" in schema:
            return self._listed(schema)
        return self._typed(schema, depth)

    def _resolve(self, ref: Json) -> Json:
        target = self._root
        if not isinstance(ref, str) or not ref.startswith("#"):
            _refuse("a '$ref' must lead into the schema itself.")
        for key in ref[1:].split("/")[1:]:
            key = key.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or key not in target:
                _refuse("a '$ref' leads nowhere.")
            target = target[key]
        return target

    def _listed(self, schema: dict[str, Json]) -> Json:
        _allow_only(schema, {"const", "enum", "type"})
        listed = [schema["const"]] if "const" in schema else schema["enum"]
        fitting = [v for v in _sequence(listed) if "type" not in schema or _is_of_type(v, schema["type"])]
        if not fitting:
            _refuse("no listed value has the right type.")
        return self._chance.choice(fitting)

    def _typed(self, schema: dict[str, Json], depth: int) -> Json:
        kind = _type_of(schema)
        _allow_only(schema, KEYWORDS[kind] | {"type"})
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "boolean":
                return self._chance.random() < 0.5
            case "null":
                return None
            case _:
                return self._number(schema, whole=kind == "integer")

    def _object(self, schema: dict[str, Json], depth: int) -> Json:
        properties, required = schema.get("properties", {}), _sequence(schema.get("required", []))
        if not isinstance(properties, dict) or not all(name in properties for name in required):
            _refuse("every required property must be described under 'properties'.")
        wanted = [name for name in properties if depth < SHALLOW or name in required]
        return {name: self.value(properties[name], depth + 1) for name in wanted}

    def _array(self, schema: dict[str, Json], depth: int) -> Json:
        usual = 0 if depth >= SHALLOW else 2
        low, high = _bounds(schema, "minItems", "maxItems", 0, math.inf)
        count = int(min(max(usual, low), high, MAX_VALUES + 1))
        return [self.value(schema.get("items", {}), depth + 1) for _ in range(count)]

    def _string(self, schema: dict[str, Json]) -> str:
        if "pattern" in schema:
            _allow_only(schema, {"type", "pattern"})
            return walked_answer(Constraint("regex", str(schema["pattern"])))
        low, high = _bounds(schema, "minLength", "maxLength", 0, math.inf)
        if low > MAX_STRING:
            _refuse("the smallest answer is too large for the fake engine.")
        text = self._chance.choice(WORDS)
        while len(text) < low:
            text += " " + self._chance.choice(WORDS)
        return text[: int(min(high, MAX_STRING))]

    def _number(self, schema: dict[str, Json], *, whole: bool) -> int | float:
        low, high = _bounds(schema, "minimum", "maximum", -math.inf, math.inf)
        if low == -math.inf:
            low = min(0.0, high - 100)
        high = min(high, low + 100)
        if not whole:
            return min(max(round(self._chance.uniform(low, high), 2), low), high)
        if math.ceil(low) > math.floor(high):
            _refuse(f"no integer lies between {low} and {high}.")
        return self._chance.randint(math.ceil(low), math.floor(high))


def _allow_only(schema: dict[str, Json], keywords: Set[str]) -> None:
    for keyword in schema:
        if keyword not in keywords and keyword not in ANNOTATIONS:
            _refuse(f"the fake engine does not know '{keyword}' here.")


def _sequence(value: Json) -> Sequence[Json]:
    if not isinstance(value, list):
        _refuse("a list is needed.")
    return value


def _branch(branches: Json, depth: int) -> Json:
    """The first branch, or far down the last one: optional values are written `[…, null]`."""
    listed = _sequence(branches)
    if not listed:
        _refuse("'anyOf' needs a branch.")
    return listed[0 if depth < SHALLOW else -1]


def _type_of(schema: dict[str, Json]) -> str:
    kind = schema.get("type")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if not isinstance(kind, str) or kind not in KEYWORDS:
        _refuse("'type' names no type.")
    return kind


def _is_of_type(value: Json, kinds: Json) -> bool:
    names = kinds if isinstance(kinds, list) else [kinds]
    return any(
        isinstance(name, str)
        and isinstance(value, PYTHON_TYPES.get(name, ()))
        and isinstance(value, bool) == (name == "boolean")
        for name in names
    )


def _bounds(
    schema: dict[str, Json], low_key: str, high_key: str, low: float, high: float
) -> tuple[float, float]:
    """The least and the greatest value that two keywords allow."""
    least, most = _limit(schema, low_key, low), _limit(schema, high_key, high)
    if least > most:
        _refuse(f"'{low_key}' ({least}) is greater than '{high_key}' ({most}).")
    return least, most


def _limit(schema: dict[str, Json], key: str, default: float) -> float:
    value = schema.get(key, default)
    if not isinstance(value, int | float):
        _refuse(f"'{key}' must be a number.")
    return value
