"""Schemas, patterns and grammars made to hang, exhaust or crash whoever compiles them.

Drawn from the reports against grammar engines and servers: deep and wide nesting, repetition of
repetition, endless recursion, huge enumerations, patterns with no end or no meaning.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from antiphon.core.generation import Constraint

_FIELDS = {
    "json_schema": '"response_format":{"type":"json_schema","json_schema":'
    '{"name":"bomb","strict":true,"schema":%s}}',
    "regex": '"guided_regex":%s',
    "lark": '"guided_grammar":%s',
}
_AS_PARAMETERS = (
    '"tool_choice":"required","tools":[{"type":"function","function":'
    '{"name":"f","strict":true,"parameters":%s}}]'
)

_SHORT = 300

Fate = Literal["held", "refused", "any"]


@dataclass(frozen=True)
class Bomb:
    """One constraint, and what must become of it; `any` where both an answer and a refusal are right."""

    name: str
    constraint: Constraint
    fate: Fate = "any"


def requests(bomb: Bomb) -> Iterator[str]:
    """Fields of chat requests that bring the bomb, as JSON: deeper, some of them, than a reader can read."""
    kind, text = bomb.constraint.kind, bomb.constraint.text
    yield _FIELDS[kind] % (text if kind == "json_schema" else json.dumps(text))
    if kind == "json_schema" and text.startswith("{") and len(text) <= _SHORT:
        yield _AS_PARAMETERS % text


def _schema(name: str, schema: object, fate: Fate = "any") -> Bomb:
    text = schema if isinstance(schema, str) else json.dumps(schema)
    return Bomb(name, Constraint("json_schema", text), fate)


def _regex(name: str, text: str, fate: Fate = "any") -> Bomb:
    return Bomb(name, Constraint("regex", text), fate)


def _lark(name: str, text: str, fate: Fate = "any") -> Bomb:
    return Bomb(name, Constraint("lark", text), fate)


def _string(pattern: str) -> dict[str, str]:
    return {"type": "string", "pattern": pattern}


def _strings(count: int, *, required: bool) -> dict[str, object]:
    names = [f"property{i}" for i in range(count)]
    schema: dict[str, object] = {"type": "object", "properties": {n: {"type": "string"} for n in names}}
    return schema | {"required": names if required else [], "additionalProperties": False}


def _nested(opening: str, innermost: str, closing: str, depth: int) -> str:
    return opening * depth + innermost + closing * depth


def _regexes() -> Iterator[Bomb]:
    yield _regex("60,000 groups", _nested("(", "a", ")", 60_000), "refused")
    yield _regex("2,000 groups", _nested("(", "a", ")", 2_000))
    yield _regex("star of star", "foo**")
    yield _regex("repeated start", "^+a")
    yield _regex("counted start", "^{2}x")
    yield _regex("alternation of the same, nested", _nested("(", "a|a", ")*", 100))
    yield _regex("repetition cubed", "((a{1,1000}){1,1000}){1,1000}")
    yield _regex("repetition of classes cubed", r"((\w{1,1000}\s){1,1000}){1,1000}")
    yield _regex("exponential automaton", "(.*a){30}.{30}")
    yield _regex("empty or anything", "^(|.*)$")
    yield _regex("empty", "")
    yield _regex("unbalanced", "(((", "refused")
    yield _regex("backreference", r"(a)\1", "refused")
    yield _regex("lookahead", "(?=a)b", "refused")
    yield _regex("huge count", "a{1000000000}")
    yield _regex("every letter", r"(\p{L}{1,100}|\p{N}{1,100}){1,100}")
    yield _regex("long alternation", "|".join(f"word{i}" for i in range(20_000)))


def _patterns() -> Iterator[Bomb]:
    yield _schema("pattern: star of star", _string("foo**"))
    yield _schema("pattern: exponential", _string("^(.*a){30}.{30}$"))
    yield _schema("pattern: late end", _string("a.{5000}$"))
    yield _schema("pattern: cubed", _string("^((a{1,1000}){1,1000}){1,1000}$"))
    both = _string("a.{500}$") | {"minLength": 9_000, "maxLength": 10_000}
    yield _schema("pattern and length", both)
    of_patterns = {"type": "object", "patternProperties": {f"^a{i}.*b{i}": {} for i in range(200)}}
    yield _schema("200 patterns of names", of_patterns)


def _lengths() -> Iterator[Bomb]:
    yield _schema("a billion characters at most", {"type": "string", "maxLength": 10**9})
    yield _schema("a million characters at least", {"type": "string", "minLength": 10**6})
    yield _schema("a billion items at most", {"type": "array", "maxItems": 10**9})
    yield _schema("a million items at least", {"type": "array", "minItems": 10**6})
    yield _schema("10^30 items", {"type": "array", "minItems": 10**30})
    yield _schema("a million properties at least", {"type": "object", "minProperties": 10**6})
    deep: object = {"type": "integer"}
    for _ in range(20):
        deep = {"type": "array", "items": deep, "minItems": 10, "maxItems": 1000}
    yield _schema("arrays of arrays of arrays", deep)


def _sizes() -> Iterator[Bomb]:
    yield _schema("enumeration of 100 kB", {"enum": [f"value{i:06}" for i in range(8_000)]})
    yield _schema("enumeration of objects", {"enum": [{"a": i, "b": [i]} for i in range(2_000)]})
    yield _schema("5,000 required properties", _strings(5_000, required=True))
    yield _schema("5,000 optional properties", _strings(5_000, required=False), "refused")
    yield _schema("anyOf, 5,000 deep", _nested('{"anyOf":[', "true", "]}", 5_000), "refused")
    yield _schema("items, 60 deep", _nested('{"items":', "true", "}", 60), "held")
    yield _schema("300 kB of description", {"description": "x" * 300_000}, "refused")
    branches = [{"required": [f"k{i}"], "properties": {f"k{i}": {"type": "integer"}}} for i in range(1_000)]
    yield _schema("anyOf of 1,000 objects", {"type": "object", "anyOf": branches})
    product = [{"anyOf": [{"required": [f"k{i}x{j}"]} for j in range(5)]} for i in range(10)]
    yield _schema("product of alternatives", {"type": "object", "allOf": product}, "refused")


def _recursion() -> Iterator[Bomb]:
    yield _schema("itself", {"$ref": "#"}, "refused")
    loop = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
    yield _schema("two that are each other", {"$ref": "#/$defs/a", "$defs": loop}, "refused")
    endless = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    yield _schema("object without end", endless)
    yield _schema("all of itself", {"allOf": [{"$ref": "#"}], "type": "object"}, "refused")
    yield _schema("nowhere", {"$ref": "#/$defs/missing"}, "refused")
    yield _schema("elsewhere", {"$ref": "http://127.0.0.1:9/schema.json"}, "refused")
    chain = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(2_000)}
    yield _schema("chain of references", {"$ref": "#/$defs/d0", "$defs": chain | {"d2000": {}}})
    yield _lark("left recursion", 'start: start "a" | start\n')
    yield _lark("ambiguity", 'start: start start | "a" | \n')
    yield _lark("no rule", "start: missing\n", "refused")
    yield _lark("nothing", "", "refused")
    yield _lark("exponential rules", "".join(f"r{i}: r{i + 1} r{i + 1}\n" for i in range(60)) + "start: r0\n")


def _nonsense() -> Iterator[Bomb]:
    yield _schema("no JSON", "{", "refused")
    yield _schema("a string", '"string"', "refused")
    yield _schema("false", "false", "refused")
    yield _schema("tuple as items", {"type": "array", "items": [{"type": "integer"}]})
    yield _schema("type of nothing", {"type": "no such type"}, "refused")
    yield _schema("negative length", {"type": "string", "minLength": -1}, "refused")
    yield _schema("nothing matches", {"allOf": [{"const": 1}, {"const": 2}]}, "refused")


BOMBS: tuple[Bomb, ...] = (
    *_regexes(),
    *_patterns(),
    *_lengths(),
    *_sizes(),
    *_recursion(),
    *_nonsense(),
)
