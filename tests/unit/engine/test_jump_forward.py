"""Tokens that a constraint forces: taken at once, and in nothing else different from drawn ones."""

import json
from dataclasses import replace

import pytest

from antiphon.core.generation import Constraint, GenerationRequest, SamplingParams
from antiphon.engine.constraint import ConstraintBroken, Matcher
from antiphon.engine.pacing import PacingOptions
from antiphon.engine.scheduler import SchedulerOptions
from tests.byte_grammar import EOS, text_of, token_of
from tests.chained_backend import ChainedBackend
from tests.engine_rig import Answer, Rig, compiler, request

PET = Constraint(
    "json_schema",
    json.dumps(
        {
            "type": "object",
            "properties": {
                "kind": {"enum": ["cat", "canary", "dog"]},
                "name": {"type": "string", "maxLength": 3},
                "tame": {"type": "boolean"},
            },
            "required": ["kind", "name", "tame"],
            "additionalProperties": False,
        }
    ),
)
ONE_ANSWER = Constraint("json_schema", json.dumps({"const": {"all of this": "is certain"}}))
CERTAIN = '{"all of this":"is certain"}'


def rig(*, jump_forward: bool = True) -> Rig:
    """A rig with plenty of room, whose tokens are bytes."""
    return Rig(ChainedBackend(128, vocab_size=EOS + 1), eos=EOS, jump_forward=jump_forward)


def pet(key: str = "a", **changes: object) -> GenerationRequest:
    """A request for a pet."""
    spec = replace(request(key, [1, 2, 3, 4, 5, 6], max_tokens=100), constraint=PET)
    return replace(spec, **changes)  # type: ignore[arg-type]


def answer(driver: Rig, spec: GenerationRequest) -> list[Answer]:
    """All choices of a request that runs alone."""
    driver.submit(spec)
    driver.run()
    assert driver.failed == []
    return [driver.answers[spec.id, choice] for choice in range(spec.choices)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"choices": 3},
        {"max_tokens": 1},
        {"max_tokens": 5},
        {"max_tokens": 17},
        {"stop_token_ids": (token_of("n"),)},
        {"stop_token_ids": (token_of('"'),), "min_tokens": 30},
        {"ignore_eos": True},
        {"constraint": ONE_ANSWER},
        {"constraint": ONE_ANSWER, "max_tokens": 20},
    ],
)
def test_answers_are_those_of_drawing_each_token(seed: int, changes: dict[str, object]) -> None:
    """Same tokens, same ends, whatever else was asked for."""
    sampling = SamplingParams(seed=seed, frequency_penalty=0.5, repetition_penalty=1.2)
    spec = replace(pet(sampling=sampling), **changes)  # type: ignore[arg-type]

    assert answer(rig(), spec) == answer(rig(jump_forward=False), spec)


def test_forced_tokens_cost_no_step_each() -> None:
    """An answer that is certain takes the step of the prompt alone."""
    driver = rig()
    (only,) = answer(driver, pet(constraint=ONE_ANSWER))

    assert (text_of(only.tokens), only.end) == (CERTAIN, "stop")
    assert driver.backend.steps == 1  # type: ignore[attr-defined]
    assert driver.scheduler.counters.forced_tokens == len(CERTAIN) - 1
    assert driver.scheduler.counters.generated_tokens == len(CERTAIN)


def test_switched_off_each_token_takes_a_step() -> None:
    """For measuring: one token, one step."""
    driver = rig(jump_forward=False)
    answer(driver, pet(constraint=ONE_ANSWER))

    assert driver.backend.steps == len(CERTAIN)  # type: ignore[attr-defined]
    assert driver.scheduler.counters.forced_tokens == 0


def test_scores_are_of_the_model_so_nothing_is_jumped() -> None:
    """With logprobs every token is drawn and scored; the tokens are the same as without."""
    driver = rig()
    scored = pet(sampling=SamplingParams(seed=1, top_logprobs=2))
    (with_scores,) = answer(driver, scored)
    (without,) = answer(rig(), replace(scored, sampling=SamplingParams(seed=1)))

    assert with_scores.tokens == without.tokens
    assert [entry.token_id for entry in with_scores.logprobs] == with_scores.tokens
    assert driver.scheduler.counters.forced_tokens == 0


def test_crowded_answers_are_those_given_alone() -> None:
    """Preempted again and again, computed again in larger pieces: the same answers."""
    backend = ChainedBackend(24, vocab_size=EOS + 1)
    crowded = Rig(backend, SchedulerOptions(headroom_tokens=1), eos=EOS)
    specs = [pet(key, choices=2, sampling=SamplingParams(seed=ord(key))) for key in "abcdef"]
    for spec in specs:
        crowded.submit(spec)
    crowded.run()

    assert crowded.scheduler.counters.preemptions > 0
    for spec in specs:
        expected = answer(rig(jump_forward=False), spec)
        assert [crowded.answers[spec.id, choice] for choice in range(2)] == expected


def test_long_run_of_forced_tokens_is_spread_beside_decoding() -> None:
    """A schema that dictates a page does not hold the others' streams up for it."""
    dictated = Constraint("json_schema", json.dumps({"enum": ["a" * 90 + "b", "a" * 90 + "c"]}))
    backend = ChainedBackend(vocab_size=EOS + 1)
    driver = Rig(backend, SchedulerOptions(pacing=PacingOptions(first=8)), eos=EOS)
    driver.submit(replace(request("free", [1, 2, 3], max_tokens=40), ignore_eos=True))
    driver.step()
    driver.submit(replace(request("dictated", [1, 2, 3], max_tokens=200), constraint=dictated))
    driver.run()

    assert text_of(driver.answers["dictated", 0].tokens)[:91] == '"' + "a" * 90
    assert backend.largest_step <= 2 + 8


class Breaking(Matcher):
    """A matcher that fails after a few tokens, as one does that runs into a limit."""

    def forced(self) -> list[int]:
        """Fail."""
        raise ConstraintBroken


def test_matcher_that_breaks_ends_its_request_alone(caplog: pytest.LogCaptureFixture) -> None:
    """One constraint's fault is one request's; its batch mates get their answers, its pages come back."""
    driver = rig()
    whole = compiler().compile(PET)
    broken = pet("broken", choices=2)
    driver.loop.submit(broken, [Breaking(whole._matcher, whole._vocabulary), whole])
    (good,) = answer_beside(driver, pet("good"))

    assert driver.failed == ["broken"]
    assert good == answer(rig(), pet("good"))[0]
    assert driver.pool.counts().held == 0
    assert "broken" in caplog.text


def answer_beside(driver: Rig, spec: GenerationRequest) -> list[Answer]:
    """All choices of a request that runs beside what is there."""
    for choice in range(2):
        driver.answers["broken", choice] = Answer()
    driver.submit(spec)
    driver.run()
    return [driver.answers[spec.id, choice] for choice in range(spec.choices)]
