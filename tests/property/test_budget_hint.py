"""Answers that are to end in time do so where they can, validly; what they say else is not changed."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.generation import Constraint, GenerationRequest, SamplingParams
from antiphon.engine.way_out import search
from antiphon.service.schemas import constraint_of
from antiphon.text.schema.gate import held
from antiphon.text.schema.validator import AnswerValidator
from tests.byte_grammar import EOS, text_of
from tests.chained_backend import ChainedBackend
from tests.engine_rig import Answer, Rig, compiler, request

TEXT: dict[str, Any] = {"type": "string"}


def described(*required: str, **properties: Any) -> dict[str, Any]:
    """An object."""
    return {"type": "object", "properties": properties, "required": list(required)}


SCHEMAS: dict[str, dict[str, Any]] = {
    "text": TEXT,
    "lengths": {"type": "string", "minLength": 7, "maxLength": 9},
    "pattern": {"type": "string", "pattern": "^(ab|[0-9]{3})+x$"},
    "number": {"type": "number", "minimum": 1000},
    "required": described("a", "b", a=TEXT, b={"type": "integer"}, c=TEXT),
    "optional": described(a=TEXT, b=described("deep", deep=TEXT)),
    "array": {"type": "array", "items": described("name", name=TEXT), "minItems": 2},
    "of arrays": {"type": "array", "items": {"type": "array", "items": TEXT, "minItems": 1}},
    "free names": {"type": "object", "additionalProperties": TEXT, "minProperties": 2},
    "tree": {"type": "object", "properties": {"of": {"type": "array", "items": {"$ref": "#"}}}},
    "branches": {"anyOf": [described("kind", kind={"const": "long one"}), {"enum": ["x", "yes"]}]},
    "anything": {},
}
PATTERNS = {"letters": "[a-z]+", "ends anywhere": "(yes|no)*", "fixed": "[0-9]{4}-[0-9]{2}"}


def constraint(name: str) -> Constraint:
    """By its name above."""
    if name in PATTERNS:
        return Constraint("regex", PATTERNS[name])
    return constraint_of(held(SCHEMAS[name]))


def answer(spec: GenerationRequest, *, jump_forward: bool = True) -> Answer:
    """Of a request that runs alone."""
    driver = Rig(ChainedBackend(128, vocab_size=EOS + 1), eos=EOS, jump_forward=jump_forward)
    driver.submit(spec)
    driver.run()
    assert driver.failed == []
    return driver.answers[spec.id, 0]


@pytest.mark.parametrize("name", [*SCHEMAS, *PATTERNS])
@settings(max_examples=12)
@given(slack=st.integers(0, 60), seed=st.integers(0, 2**40))
def test_it_ends_in_time_wherever_an_end_was_within_reach(name: str, slack: int, seed: int) -> None:
    """With whatever budget from the nearest end on; and one token less is a prefix, never a violation."""
    wanted = constraint(name)
    nearest, _ = search(compiler().compile(wanted), 200)
    assert nearest is not None
    spec = request("a", [1, 2, 3], max_tokens=len(nearest) + slack, seed=seed)
    spec = replace(spec, constraint=wanted, budget_hint=True)

    found = answer(spec)
    assert found.end == "stop"
    assert len(found.tokens) <= spec.max_tokens
    if name in SCHEMAS:
        AnswerValidator(SCHEMAS[name]).check(text_of(found.tokens))
    scored = replace(spec, sampling=replace(spec.sampling, top_logprobs=0))
    for other in (answer(spec, jump_forward=False), answer(scored), answer(spec)):
        assert (other.tokens, other.end) == (found.tokens, found.end)


@pytest.mark.parametrize("name", ["required", "array", "pattern", "lengths"])
def test_what_cannot_end_in_time_is_a_prefix(name: str) -> None:
    """As without the hint."""
    wanted = constraint(name)
    spec = replace(request("a", [1, 2, 3], max_tokens=4), constraint=wanted, budget_hint=True)

    found = answer(spec)
    assert found.end == "length"
    assert len(found.tokens) == 4
    assert compiler().compile(wanted).takes(found.tokens)


def test_nothing_is_changed_before_it_has_to_be() -> None:
    """The beginning is what it would have been, and all of it where there is room."""
    spec = replace(request("a", [1, 2, 3], max_tokens=100, seed=3), constraint=constraint("lengths"))
    plain = answer(spec)

    assert plain.end == "stop"
    assert answer(replace(spec, budget_hint=True)).tokens == plain.tokens
    free = replace(spec, constraint=constraint("text"), max_tokens=20)
    hinted = answer(replace(free, budget_hint=True)).tokens
    assert hinted[:18] == answer(free).tokens[:18]
    assert json.loads(text_of(hinted))


def test_minimum_of_tokens_goes_before_it() -> None:
    """What must not end yet does not."""
    spec = replace(request("a", [1, 2, 3], max_tokens=12), constraint=Constraint("regex", "[a-z]*"))
    params = SamplingParams(seed=1)
    found = answer(replace(spec, budget_hint=True, min_tokens=12, sampling=params))

    assert (len(found.tokens), found.end) == (12, "length")
