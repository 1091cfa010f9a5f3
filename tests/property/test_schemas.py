"""Schemas that hypothesis makes up: what is compiled allows no more than the schema, and answers are valid.

Both halves of the promise: values that satisfy what the gate has made of a schema satisfy the schema,
and so do answers that chance writes under its grammar. The validator knows only the schema.
"""

import json
from collections.abc import Mapping
from random import Random
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema

from antiphon.engine import frames, prober
from antiphon.engine.constraint import Matcher
from antiphon.service.schemas import constraint_of
from antiphon.text.schema.gate import held
from antiphon.text.schema.refusal import SchemaUnheld
from antiphon.text.schema.validator import AnswerInvalid, AnswerValidator
from tests.byte_grammar import EOS, byte_compiler, text_of, token_of

COMPILER = byte_compiler()
MAX_TOKENS = 250
Schema = dict[str, Any]

SIZES = st.integers(0, 3)
NAMES = st.sampled_from(["a", "b", "ab", "é", "a b"])
PATTERNS = st.sampled_from(["^a", "b$", "^[ab]{1,2}$", "^(a|b)$", "a+b?", "^.$"])
FORMATS = st.sampled_from(["date", "time", "ipv4", "uuid", "email"])
NUMBERS = st.sampled_from(["integer", "number"])
LISTED: st.SearchStrategy[Any] = st.sampled_from([None, True, 0, 1, 1.5, "a", "ab", [], [1], {}, {"a": 1}])


def _some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    return st.fixed_dictionaries({}, optional=keywords)


VALUES = st.recursive(
    LISTED | st.integers(-20, 20) | st.text("ab\u00e9", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
SCALARS = st.one_of(
    st.just({}),
    st.sampled_from([{"type": "null"}, {"type": "boolean"}, {"type": ["string", "null"]}]),
    _some(minLength=SIZES, maxLength=SIZES, pattern=PATTERNS).map(
        lambda keywords: {"type": "string"} | keywords
    ),
    st.sampled_from(["date", "time", "ipv4", "uuid", "email"]).map(
        lambda name: {"type": "string", "format": name}
    ),
    _some(
        minimum=st.integers(-20, 20),
        maximum=st.integers(-20, 20),
        exclusiveMinimum=st.integers(-20, 20),
        multipleOf=st.sampled_from([1, 2, 3, 0.5]),
    ).flatmap(
        lambda keywords: st.sampled_from(["integer", "number"]).map(lambda name: {"type": name} | keywords)
    ),
    st.lists(LISTED, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    LISTED.map(lambda value: {"const": value}),
)


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    several = st.lists(inner, min_size=1, max_size=3)
    objects = _some(
        properties=st.dictionaries(NAMES, inner, max_size=3),
        patternProperties=st.dictionaries(PATTERNS, inner, max_size=1),
        additionalProperties=st.booleans() | inner,
        required=st.lists(NAMES, max_size=2, unique=True),
        minProperties=SIZES,
        maxProperties=SIZES,
    )
    arrays = _some(
        items=inner, prefixItems=several, minItems=SIZES, maxItems=SIZES, uniqueItems=st.booleans()
    )
    combined = st.sampled_from(["anyOf", "oneOf", "allOf"]).flatmap(
        lambda keyword: several.map(lambda schemas: {keyword: schemas})
    )
    return st.one_of(
        objects.map(lambda keywords: {"type": "object"} | keywords),
        arrays.map(lambda keywords: {"type": "array"} | keywords),
        combined,
        st.just({"$ref": "#/$defs/again"}),
    )


SCHEMAS = st.builds(
    lambda schema, again: schema | {"$defs": {"again": again}},
    st.recursive(SCALARS, _larger, max_leaves=6),
    st.recursive(SCALARS, _larger, max_leaves=3),
)


def _held(schema: Mapping[str, Any]) -> Schema:
    try:
        return held(schema)
    except SchemaUnheld:
        assume(False)
        raise


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(SCHEMAS, st.integers(0, 2**20))
def test_answers_by_chance_are_valid(schema: Schema, seed: int) -> None:
    """What compiles and was tried gets to an end, and that end is valid."""
    constraint = constraint_of(_held(schema))
    assume(prober.probe(COMPILER, frames.Check(0, constraint)) is None)
    validator, chance = AnswerValidator(schema), Random(seed)
    for _ in range(3):
        text = _written(COMPILER.compile(constraint), chance)
        if text is not None:
            validator.check(text)


def _written(matcher: Matcher, chance: Random) -> str | None:
    """An answer; None where it got too long."""
    tokens: list[int] = []
    for position in range(MAX_TOKENS):
        if matcher.finished:
            return text_of(tokens)
        allowed = matcher.allowed().tolist()
        closing = [token for token in (EOS, *map(token_of, '"}]')) if token in allowed]
        plain = [token for token in map(token_of, 'ab",:[{0123') if token in allowed]
        hurry = chance.random() < position / MAX_TOKENS
        token = closing[0] if closing and hurry else chance.choice(plain or allowed)
        if not matcher.may_follow(token):
            continue
        if token == EOS:
            return text_of(tokens)
        matcher.consume(token)
        tokens.append(token)
    return None


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data(), SCHEMAS)
def test_what_is_compiled_allows_no_more_than_the_schema(data: st.DataObject, schema: Schema) -> None:
    """Values of the one are values of the other."""
    compiled = _held(schema)
    narrower, validator = AnswerValidator(compiled), AnswerValidator(schema)
    for _ in range(3):
        text = json.dumps(_value(data, compiled))
        if _is_valid(narrower, text):
            assert _is_valid(validator, text), text


def _value(data: st.DataObject, schema: Schema) -> object:
    """A value that may satisfy a held schema; hypothesis-jsonschema cannot make objects."""
    if '"object"' in json.dumps(schema) or "$defs" in schema:
        return data.draw(VALUES)
    return data.draw(from_schema(schema))


def _is_valid(validator: AnswerValidator, text: str) -> bool:
    try:
        validator.check(text)
    except AnswerInvalid:
        return False
    return True
