"""A schema in, a schema out that the grammar library holds truly; or where and why there is none.

The library is exact in most of what it accepts, and refuses most of what it does not know. What is
left is done here: keywords it ignores or reads otherwise are rewritten (numbers, patterns, formats,
values of any kind), keywords it lacks are rewritten where the rest of the schema allows it (`oneOf`
whose branches exclude each other, `not` of listed values, `uniqueItems` of few values,
`dependentRequired`, `propertyNames`), and everything else is refused. The result may allow less than
the schema, never more; property order is kept.

Invariant: an answer that is valid under the result is valid under the schema, in the dialect that
the schema names.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Final

from antiphon.text.schema.branches import exactly_one, negated
from antiphon.text.schema.dialect import Document
from antiphon.text.schema.finite import finite
from antiphon.text.schema.numbers import held_numbers
from antiphon.text.schema.operands import (
    FAMILIES,
    TYPES,
    Context,
    Schema,
    branches_of,
    given,
    limits,
    list_of,
    mapping_of,
    names_of,
)
from antiphon.text.schema.refusal import SchemaUnheld, not_permitted, unsatisfiable
from antiphon.text.schema.scalars import held_pattern, number_keywords, string_keywords
from antiphon.text.schema.values import valid_values

MAX_SCHEMAS: Final = 20_000
"""Schemas within a schema."""
MAX_DEPTH: Final = 100
_MAX_ARRAYS: Final = 400
"""An array of unique values is held by listing what it may be; more than that is too much."""
_MAX_DEPENDENT: Final = 4

_REFUSED: Final = (
    *("dependentSchemas", "dependencies", "unevaluatedProperties", "unevaluatedItems"),
    *("$dynamicRef", "$recursiveRef"),
)
_ANY: Final = "#/$defs/any"


def held(schema: Schema) -> dict[str, object]:
    """The schema to compile for a caller's schema.

    Raises:
        SchemaUnheld: there is none.
    """
    return finite(_Gate(Document(schema)).root())


def _any_schema() -> dict[str, object]:
    """Any value: the library's own has numbers like 1e999."""
    return {
        "anyOf": [
            {"type": ["null", "boolean", "string"]},
            {"type": "number"} | held_numbers({}, integer=False),
            {"type": "array", "items": {"$ref": _ANY}},
            {"type": "object", "additionalProperties": {"$ref": _ANY}},
        ]
    }


class _Gate:
    """One walk over one schema."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._definitions: dict[str, object] = {}
        self._names: dict[str, str] = {}
        """Of the definitions, by the reference that leads there."""
        self._waiting: deque[tuple[str, object, Context]] = deque()
        """Definitions to be held, one after the other: they may lead on for ever."""
        self._count = 0

    def root(self) -> dict[str, object]:
        result = self._schema(self._document.root, (), merged=False)
        while self._waiting:
            name, target, context = self._waiting.popleft()
            self._definitions[name] = self._possible(target, context, merged=False)
        whole: dict[str, object] = result if isinstance(result, dict) else {"allOf": [result]}
        return whole | ({"$defs": self._definitions} if self._definitions else {})

    def _schema(self, schema: object, context: Context, *, merged: bool) -> object:
        """The held form of one schema. `merged`: it is one of several that must hold together.

        Alone a schema may be narrowed to what its keywords speak of; among others that could
        leave nothing.
        """
        self._count += 1
        if self._count > MAX_SCHEMAS:
            raise SchemaUnheld(f"more than {MAX_SCHEMAS} schemas within a schema.")
        if len(context) > MAX_DEPTH:
            raise SchemaUnheld(f"schemas are nested more than {MAX_DEPTH // 2} deep.")
        if isinstance(schema, bool):
            return False if not schema else True if merged else self._any()
        if not isinstance(schema, dict):
            raise SchemaUnheld("a schema must be an object or a boolean.", context)
        if not isinstance(schema.get("enum", []), list):
            raise SchemaUnheld("'enum' must be an array.", context)
        if "enum" in schema or "const" in schema:
            return self._listed(schema, context)
        return self._described(schema, context, merged=merged)

    def _any(self) -> object:
        self._definitions.setdefault("any", _any_schema())
        return {"$ref": _ANY}

    def _listed(self, schema: Schema, context: Context) -> object:
        """Listed values, those that the other keywords allow."""
        values = [schema["const"]] if "const" in schema else schema["enum"]
        assert isinstance(values, list)
        if "const" in schema and "enum" in schema:
            values = [value for value in values if value in list_of(schema["enum"])]
        fitting = valid_values(self._document, schema, values, context)
        if not fitting:
            raise unsatisfiable(context, "none of the listed values is valid")
        return {"enum": fitting} if len(fitting) > 1 else {"const": fitting[0]}

    def _described(self, schema: Schema, context: Context, *, merged: bool) -> object:
        for keyword in _REFUSED:
            if keyword in schema:
                raise not_permitted(keyword, context)
        if "if" in schema and ("then" in schema or "else" in schema):
            raise not_permitted("if", context)
        parts = [*self._combined(schema, context, alone=not merged)]
        types = self._types(schema, context, alone=not merged and not parts)
        own = self._own(schema, types, context, merged=merged or bool(parts)) if types else {}
        if not own and not parts:
            return True if merged else self._any()
        if not parts:
            return own
        if not own and len(parts) == 1:
            return parts[0]
        return {"allOf": [own, *parts] if own else parts}

    def _types(self, schema: Schema, context: Context, *, alone: bool) -> tuple[str, ...]:
        """The types to write; empty where the schema says nothing of types or what they hold."""
        declared = schema.get("type")
        if declared is None:
            spoken = tuple(family for family, keywords in FAMILIES.items() if keywords & schema.keys())
            return spoken if alone or not spoken else TYPES
        names = [declared] if isinstance(declared, str) else list_of(declared)
        if not names or not all(name in TYPES for name in names):
            raise SchemaUnheld(f"{declared!r} is not a valid type.", context)
        return tuple(
            name for name in TYPES if name in names and not (name == "integer" and "number" in names)
        )

    def _own(
        self, schema: Schema, types: Sequence[str], context: Context, *, merged: bool
    ) -> dict[str, object]:
        """The keywords of each type, and the types for which some value is left."""
        kept: list[str] = []
        result: dict[str, object] = {"type": kept}
        troubles: list[SchemaUnheld] = []
        for name in types:
            try:
                keywords = self._of_type(name, schema, context, merged=merged)
            except SchemaUnheld as trouble:
                troubles.append(trouble)
                if not trouble.reason.startswith("no value"):
                    raise
                continue
            kept.append(name)
            result.update(keywords)
        if not kept:
            raise troubles[0]
        if len(kept) == 1:
            result["type"] = kept[0]
        return _without_listed_numbers(result)

    def _of_type(self, name: str, schema: Schema, context: Context, *, merged: bool) -> dict[str, object]:
        match name:
            case "integer" | "number":
                return number_keywords(schema, context, integer=name == "integer")
            case "string":
                return string_keywords(schema, context)
            case "array":
                return self._array(schema, context, merged=merged)
            case "object":
                return self._object(schema, context, merged=merged)
            case _:
                return {}

    def _combined(self, schema: Schema, context: Context, *, alone: bool) -> Iterator[object]:
        """What `$ref`, `allOf`, `anyOf`, `oneOf`, `not` and `dependentRequired` add."""
        families = {keyword for keywords in FAMILIES.values() for keyword in keywords} | {"type"}
        combinators = [k for k in ("$ref", "allOf", "anyOf", "oneOf") if k in schema]
        single = alone and len(combinators) == 1 and not families & schema.keys() and "not" not in schema
        if "$ref" in schema:
            yield self._reference(schema["$ref"], context)
        if "allOf" in schema:
            members = branches_of(schema, "allOf", context)
            lone = single and len(members) == 1
            for place, member in enumerate(members):
                yield self._schema(member, (*context, "allOf", str(place)), merged=not lone)
        if "anyOf" in schema:
            yield self._alternatives(
                branches_of(schema, "anyOf", context), (*context, "anyOf"), merged=not single
            )
        if "oneOf" in schema:
            branches = exactly_one(self._document, branches_of(schema, "oneOf", context))
            if branches is None:
                raise not_permitted("oneOf", context)
            yield self._alternatives(branches, (*context, "oneOf"), merged=not single)
        if "not" in schema:
            yield self._schema(negated(schema["not"], context), (*context, "not"), merged=True)
        if "dependentRequired" in schema:
            yield from self._dependent(schema["dependentRequired"], context)

    def _alternatives(self, branches: Sequence[object], context: Context, *, merged: bool) -> object:
        options: list[object] = []
        troubles: list[SchemaUnheld] = []
        for place, branch in enumerate(branches):
            try:
                options.append(self._schema(branch, (*context, str(place)), merged=merged))
            except SchemaUnheld as trouble:
                if not trouble.reason.startswith("no value"):
                    raise
                troubles.append(trouble)
        if not options:
            raise troubles[0]
        return {"anyOf": options} if len(options) > 1 else options[0]

    def _reference(self, reference: object, context: Context) -> object:
        target = self._document.resolve(reference, context)
        assert isinstance(reference, str)
        if reference not in self._names:
            self._names[reference] = name = f"d{len(self._names)}"
            self._waiting.append((name, target, _context_of(reference)))
        return {"$ref": f"#/$defs/{self._names[reference]}"}

    def _dependent(self, value: object, context: Context) -> Iterator[object]:
        dependents = mapping_of(value, "dependentRequired", context)
        if len(dependents) > _MAX_DEPENDENT:
            raise not_permitted("dependentRequired", context)
        for name, needed in dependents.items():
            absent = {"type": "object", "properties": {name: False}}
            present = {"type": "object", "required": [name, *names_of(needed, "dependentRequired", context)]}
            yield {"anyOf": [present, absent, {"type": [t for t in TYPES if t not in ("object", "integer")]}]}

    def _array(self, schema: Schema, context: Context, *, merged: bool) -> dict[str, object]:
        if "contains" in schema and schema.get("minContains") != 0:
            raise not_permitted("contains", context)
        low, high = limits(schema, "minItems", "maxItems", context)
        if schema.get("uniqueItems") is True and (high is None or high > 1):
            return {"enum": self._unique(schema, low, high, context)}
        result: dict[str, object] = {}
        if "prefixItems" in schema:
            result["prefixItems"] = [
                self._schema(item, (*context, "prefixItems", str(place)), merged=merged)
                for place, item in enumerate(list_of(schema["prefixItems"]))
            ]
        items = schema.get("items", True)
        if not isinstance(items, dict | bool):
            raise SchemaUnheld("'items' must be a schema; use 'prefixItems' for several.", context)
        rest = self._possible(items, (*context, "items"), merged=merged and "items" not in schema)
        if rest is not True:
            result["items"] = rest
        return result | given(minItems=low or None, maxItems=high)

    def _possible(self, schema: object, context: Context, *, merged: bool) -> object:
        """The held form of a schema; False where no value satisfies it."""
        try:
            return self._schema(schema, context, merged=merged)
        except SchemaUnheld as trouble:
            if trouble.reason.startswith("no value"):
                return False
            raise

    def _unique(self, schema: Schema, low: int, high: int | None, context: Context) -> list[object]:
        """All the arrays of unique values there are, if the values are listed and few."""
        items = self._schema(schema.get("items", True), (*context, "items"), merged=True)
        values = _finite_values(items)
        if values is None or "prefixItems" in schema:
            raise not_permitted("uniqueItems", context)
        if low > len(values):
            raise unsatisfiable(context, "'minItems' asks for more unique items than there are")
        arrays: list[object] = []
        for size in range(low, min(len(values), len(values) if high is None else high) + 1):
            for chosen in permutations(values, size):
                arrays.append(list(chosen))
                if len(arrays) > _MAX_ARRAYS:
                    raise not_permitted("uniqueItems", context)
        return arrays

    def _object(self, schema: Schema, context: Context, *, merged: bool) -> dict[str, object]:
        properties = mapping_of(schema.get("properties", {}), "properties", context)
        patterns = mapping_of(schema.get("patternProperties", {}), "patternProperties", context)
        required = names_of(schema.get("required", []), "required", context)
        needed = frozenset(required)
        low, high = limits(schema, "minProperties", "maxProperties", context)
        extra = schema.get("additionalProperties")
        if "propertyNames" in schema:
            properties, patterns, extra = self._named(schema, properties, patterns, extra, context)
        result: dict[str, object] = {}
        if properties:
            result["properties"] = {
                name: self._property(value, (*context, "properties", name), name in needed)
                for name, value in properties.items()
            }
        if patterns:
            result["patternProperties"] = {
                held_pattern(name, context): self._property(
                    value, (*context, "patternProperties", name), False
                )
                for name, value in patterns.items()
            }
        described = all(name in properties for name in required) and low <= len(properties)
        if extra is None and not merged and properties and not patterns and described:
            extra = False
        if extra is not None or not merged:
            place = (*context, "additionalProperties")
            result["additionalProperties"] = self._property(True if extra is None else extra, place, False)
        if required:
            result["required"] = list(dict.fromkeys(required))
        low = 0 if low <= len(set(required)) else low
        closed = result.get("additionalProperties") is False and not patterns
        high = None if high is not None and closed and len(properties) <= high else high
        return result | given(minProperties=low or None, maxProperties=high)

    def _property(self, schema: object, context: Context, required: bool) -> object:
        """The schema of a property; one that can never be there is left out of every answer."""
        try:
            return self._schema(schema, context, merged=False)
        except SchemaUnheld as trouble:
            if required or not trouble.reason.startswith("no value"):
                raise
            return False

    def _named(
        self, schema: Schema, properties: Schema, patterns: Schema, extra: object, context: Context
    ) -> tuple[Schema, Schema, object]:
        """`propertyNames` by way of the other keywords, where no other properties are described."""
        names = schema["propertyNames"]
        rest = True if extra is None else extra
        if names is True or names == {} or names == {"type": "string"}:
            return properties, patterns, extra
        if not isinstance(names, dict) or patterns:
            raise not_permitted("propertyNames", context)
        listed = names.get("enum", [names["const"]] if "const" in names else None)
        if isinstance(listed, list) and names.keys() <= {"enum", "const", "type", "title", "description"}:
            allowed = [name for name in listed if isinstance(name, str)]
            return {name: properties.get(name, rest) for name in allowed}, {}, False
        if properties or not names.keys() <= {"pattern", "type", "title", "description"}:
            raise not_permitted("propertyNames", context)
        return {}, {str(names.get("pattern", "")): rest}, False


def _without_listed_numbers(schema: dict[str, object]) -> dict[str, object]:
    """Listed values of one type beside other types become a branch of their own."""
    if "enum" not in schema:
        return schema
    if isinstance(schema["type"], str):
        return {"enum": schema["enum"]}
    listed = list_of(schema["enum"])
    family = "array" if listed and isinstance(listed[0], list) else "number"
    others = [
        name
        for name in list_of(schema["type"])
        if name not in (family, "integer" if family == "number" else family)
    ]
    rest = {key: value for key, value in schema.items() if key != "enum"} | {"type": others}
    return {"anyOf": [rest, {"enum": listed}]}


def _finite_values(schema: object) -> list[object] | None:
    """All values of a held schema, if they are listed."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return list_of(schema["enum"])
    if schema.get("type") == "boolean":
        return [True, False]
    return None


def _context_of(reference: str) -> Context:
    return tuple(reference.removeprefix("#").split("/")[1:])
