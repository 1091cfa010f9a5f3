"""Texts made to slip through: whatever the grammar of an accepted schema takes is valid under the schema.

Not drawn by chance but written: instances of the JSON Schema Test Suite, valid and not, each offered to
every schema of it, and JSON that readers disagree about.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import product

import pytest

from antiphon.core.generation import Constraint
from antiphon.engine.constraint import ConstraintCompiler, ConstraintRefused
from antiphon.service.schemas import constraint_of
from antiphon.text.plain_json import MAX_DEPTH, PlainJson
from antiphon.text.schema.gate import held
from antiphon.text.schema.refusal import SchemaUnheld
from antiphon.text.schema.validator import AnswerValidator, SchemaMalformed
from tests.byte_grammar import EOS, accepts, byte_compiler, tokens_of
from tests.schema_proof import DATA, Case, suite

NUMBERS = (
    *("-0", "-0.0", "1.0", "1e2", "1e999", "-1E+999", "1.8e308", "1e-999", "1" * 309, "1" * 5000),
    *("9007199254740993", "12345678901234567890", "2.99999999999999999999", "0.30000000000000004"),
)
STRINGS = (r'"\ud800"', r'"\udc00\ud800"', r'"\u0061"', r'"\/"', r'"\u0000"', '"\u2028"', '"e\u0301"')
PLACES = (
    *("%s", "[%s]", "[1,%s]", '["a",%s]', '{"zz":%s}', '{"foo":%s}', '{"foo":1,"zz":%s}', '{"a":{"y":%s}}'),
    *('{"bar":2,"foo":"x","quux":%s}', '{"foo":%s,"foo":1}', '{"foo":"x","\\u0066oo":%s}'),
)
LISTS = ("[1,1.0]", "[-0,0]", "[1,true]", r'["a","\u0061"]', '[{"a":1,"b":2},{"b":2,"a":1}]', "[[1],[1.0]]")


def _instances() -> Iterator[str]:
    for file in sorted((DATA / "json-schema-test-suite").glob("*.json")):
        for group in json.loads(file.read_text(encoding="utf-8")):
            for test in group["tests"]:
                yield json.dumps(test["data"], separators=(",", ":"), ensure_ascii=False)


TEXTS = list(
    dict.fromkeys(
        (*(place % value for place, value in product(PLACES, (*NUMBERS, *STRINGS))), *LISTS, *_instances())
    )
)


@pytest.fixture(scope="module")
def compiler() -> ConstraintCompiler:
    """Over bytes."""
    return byte_compiler()


def _held(schema: Mapping[str, object]) -> Constraint:
    return constraint_of(held(schema))


def test_what_a_grammar_takes_is_valid(compiler: ConstraintCompiler) -> None:
    """Of each schema that is not refused, and of each text."""
    offered = [(text, [*tokens_of(text), EOS]) for text in TEXTS]
    taken = sum(_taken(compiler, case, offered) for case in suite())

    assert taken > 10_000


def _taken(compiler: ConstraintCompiler, case: Case, offered: list[tuple[str, list[int]]]) -> int:
    """How many of the texts the schema's grammar takes; none of them breaks it."""
    try:
        validator = AnswerValidator(case.schema)
        matcher = compiler.compile(_held(dict(case.schema)))
    except (SchemaMalformed, SchemaUnheld, ConstraintRefused):
        return 0
    taken = [text for text, tokens in offered if matcher.takes(tokens)]
    for text in taken:
        validator.check(text)
    return len(taken)


MERGED = {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"required": ["b"]}]}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"b":1e308}', True),
        ('{"b":-1.5e-999}', True),
        ('{"a":1,"b":[0.25,1e9]}', True),
        ('{"b":1e309}', False),
        ('{"b":[0,{"c":1e999}]}', False),
        ('{"b":%s}' % ("9" * 308), True),
        ('{"b":%s}' % ("9" * 309), False),
    ],
)
def test_numbers_that_are_free_are_finite(compiler: ConstraintCompiler, text: str, verdict: bool) -> None:
    """Where no schema describes a value the grammar library would take any digits."""
    assert accepts(compiler, _held(MERGED), text) is verdict


@pytest.mark.parametrize(("text", "verdict"), [("1e99", True), ("-1e999", False), ("9" * 309, False)])
def test_number_that_is_the_whole_answer_is_finite(
    compiler: ConstraintCompiler, text: str, verdict: bool
) -> None:
    """The same where nothing is around it."""
    assert accepts(compiler, _held({"allOf": [{}, {}]}), text) is verdict


CHAIN = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["next"],
            "additionalProperties": False,
        }
    },
}


@pytest.mark.parametrize(("depth", "deep"), [(MAX_DEPTH, False), (MAX_DEPTH + 1, True)])
def test_depth_is_told_where_a_definition_leads_back_to_itself(
    compiler: ConstraintCompiler, depth: int, deep: bool
) -> None:
    """No name is free there, but readers of JSON give up somewhere."""
    matcher = compiler.compile(_held(CHAIN))
    for token in tokens_of('{"next":' * depth):
        matcher.consume(token)

    assert matcher.too_deep is deep


def test_depth_is_not_watched_where_it_is_bounded(compiler: ConstraintCompiler) -> None:
    """Reading along is left out where it cannot find anything."""
    point = {"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}, "additionalProperties": False}

    assert not compiler.compile(_held(point | {"$defs": {"n": {"type": "integer"}}})).is_watched


def test_closing_makes_room_again() -> None:
    """Depth is what is open, not what was."""
    deep = PlainJson(("",)).after(b"[" * (MAX_DEPTH + 1))
    assert deep is not None
    closed = deep.after(b"]")
    assert closed is not None

    assert deep.too_deep
    assert not closed.too_deep
