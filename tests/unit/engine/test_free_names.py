"""Objects whose names are free: no name comes twice, and no answer runs into a wall because of it."""

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from antiphon.core.generation import Constraint, GenerationRequest, SamplingParams
from antiphon.engine.constraint import ConstraintBroken, Matcher
from antiphon.engine.scheduler import SchedulerOptions
from antiphon.service.schemas import constraint_of
from antiphon.text.plain_json import MAX_DEPTH
from antiphon.text.schema.gate import held
from antiphon.text.schema.validator import AnswerValidator
from tests.byte_grammar import EOS, text_of, token_of
from tests.chained_backend import ChainedBackend
from tests.engine_rig import Rig, compiler, request

BIT = {"enum": [0, 1]}


def of_pattern(pattern: str, **others: object) -> dict[str, Any]:
    """Objects whose names match."""
    return {"type": "object", "patternProperties": {pattern: BIT}, "additionalProperties": False, **others}


SHORT = of_pattern("^[ab]{0,2}$")
SCHEMAS = [
    {"type": "object", "additionalProperties": BIT},
    {"type": "object", "properties": {"a": BIT}, "required": ["a"], "additionalProperties": BIT},
    SHORT,
    of_pattern("^(abc|d.*)$"),
    of_pattern("^(a|b)$", minProperties=2),
    of_pattern("^[ab]{1,2}$", minProperties=6),
    {"type": "array", "items": SHORT, "minItems": 2, "maxItems": 3},
    {"type": "object", "additionalProperties": SHORT},
]


def constraint(schema: dict[str, Any]) -> Constraint:
    """A caller's schema as the server holds it."""
    return constraint_of(held(schema))


def written(schema: dict[str, Any], text: str) -> Matcher:
    """A matcher behind a text that the schema lets through."""
    matcher = compiler().compile(constraint(schema))
    for character in text:
        assert matcher.allowed().size
        assert matcher.may_follow(token_of(character))
        matcher.consume(token_of(character))
    return matcher


def may_follow(matcher: Matcher, characters: str) -> list[bool]:
    """Of each character, whether it may come next."""
    return [token_of(c) in matcher.allowed() and matcher.may_follow(token_of(c)) for c in characters]


def test_used_name_cannot_be_closed_but_goes_on() -> None:
    """A longer name is always possible where names are free."""
    matcher = written(SCHEMAS[0], '{"a":1,"a')

    assert may_follow(matcher, '"a') == [False, True]
    assert token_of('"') not in matcher.allowed()


def test_described_name_is_not_spelled_in_escapes() -> None:
    """It would be an additional property to the grammar, and the described one to a reader."""
    matcher = written(SCHEMAS[1], r'{"a":1,"\u00')

    assert may_follow(matcher, "610") == [False, True, True]


def test_no_other_name_left_means_no_comma() -> None:
    """The object is closed instead."""
    matcher = written(of_pattern("^(a|b)$"), '{"a":1,"b":0')

    assert may_follow(matcher, ",}") == [False, True]


def test_way_that_ends_in_a_used_name_alone_is_not_taken() -> None:
    """What leads elsewhere is."""
    matcher = written(of_pattern("^(abc|d.*)$"), '{"abc":1,"')

    assert may_follow(matcher, "ad") == [False, True]


def test_names_are_those_of_one_object() -> None:
    """Siblings and parents may have the same."""
    written({"type": "array", "items": SCHEMAS[7]}, '[{"a":{"a":1,"b":0}},{"a":{"a":1}}]')


def test_token_that_must_not_follow_breaks_the_matcher() -> None:
    """Whoever does not ask is told."""
    matcher = written(SCHEMAS[0], '{"a":1,"a')

    with pytest.raises(ConstraintBroken):
        matcher.consume(token_of('"'))


def test_closed_objects_are_not_watched() -> None:
    """They cost nothing."""
    closed = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}

    assert constraint(closed).json_behind == ()
    assert constraint({"type": "object"}).json_behind == ("",)


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_answers_by_chance_are_valid_and_end(schema: dict[str, Any]) -> None:
    """Any walk under the mask, in names of few letters so that they meet, gets to a valid end."""
    validator = AnswerValidator(schema)
    for seed in range(40):
        validator.check(_walked(compiler().compile(constraint(schema)), Random(seed)))


def _walked(matcher: Matcher, chance: Random) -> str:
    text: list[int] = []
    while not matcher.finished and len(text) < 400:
        allowed = matcher.allowed().tolist()
        liked = [token for token in map(token_of, 'abcd",:01') if token in allowed]
        closing = [token for token in (*map(token_of, '"}]'), EOS) if token in allowed]
        hurry = chance.random() < len(text) / 100
        token = closing[0] if closing and hurry else chance.choice(liked + closing or allowed)
        if not matcher.may_follow(token):
            continue
        if token == EOS:
            break
        matcher.consume(token)
        text.append(token)
    return text_of(text)


def _rig(pages: int, options: SchedulerOptions | None = None, *, jump_forward: bool = True) -> Rig:
    return Rig(ChainedBackend(pages, vocab_size=EOS + 1), options, eos=EOS, jump_forward=jump_forward)


def _spec(key: str) -> GenerationRequest:
    sampling = SamplingParams(seed=ord(key), temperature=2.0)
    spec = replace(request(key, [1, 2, 3, 4, 5, 6], max_tokens=120), choices=3, sampling=sampling)
    return replace(spec, constraint=constraint(of_pattern("^[ab]{1,2}$", minProperties=5)))


def test_choices_crowded_preempted_and_jumping_are_those_given_alone() -> None:
    """Each choice has its own names, and a preemption takes none of them away."""
    crowded = _rig(24, SchedulerOptions(headroom_tokens=1))
    specs = [_spec(key) for key in "abcde"]
    for spec in specs:
        crowded.submit(spec)
    crowded.run()

    assert crowded.failed == []
    assert crowded.scheduler.counters.preemptions > 0
    for spec in specs:
        alone = _rig(128, jump_forward=False)
        alone.submit(spec)
        alone.run()
        for choice in range(3):
            answer = crowded.answers[spec.id, choice]
            assert answer == alone.answers[spec.id, choice]
            assert answer.end == "stop"
            AnswerValidator(of_pattern("^[ab]{1,2}$", minProperties=5)).check(text_of(answer.tokens))


def test_answer_that_only_ever_opens_is_cut_at_a_depth() -> None:
    """Nobody could read it if it went on; it is a beginning, as one is that runs out of tokens."""
    rig = Rig(ChainedBackend(512, vocab_size=EOS + 1), eos=EOS)
    spec = request("a", [1, 2, 3], max_tokens=600)
    biased = replace(spec.sampling, logit_bias=((token_of("["), 100.0),))
    rig.submit(replace(spec, sampling=biased, constraint=constraint({"type": "array"})))
    rig.run()

    assert text_of(rig.answers["a", 0].tokens) == "[" * (MAX_DEPTH + 1)
    assert rig.answers["a", 0].end == "length"
