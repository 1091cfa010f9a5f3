"""What a vLLM server is asked, and what its answers mean, by its documented API."""

import json
from dataclasses import replace
from typing import Any

import pytest

from antiphon.core.generation import Constraint, GenerationRequest, SamplingParams, TokenLogprob
from antiphon.engine.backends.vllm.completions import completion_body, piece_of, prompt_scores_of
from antiphon.engine.backends.vllm.sampling import sampling_of, seed_of
from antiphon.engine.backends.vllm.source import Ask, Piece, SourceFailed, SourceRefused

REQUEST = GenerationRequest("id", (5, 6), 10, sampling=SamplingParams(seed=1, logit_bias=((7, -1.0),)))
ASK = Ask("id-0", REQUEST.prompt, sampling_of(REQUEST, 0, (2,)), cache_salt="salt")


def event(**choice: Any) -> dict[str, Any]:
    """An event of the stream with one choice."""
    return {"choices": [{"index": 0, "text": "", "finish_reason": None, "logprobs": None} | choice]}


def test_everything_is_asked_by_token_ids() -> None:
    """In both directions, and with nothing left to the server's defaults."""
    body = completion_body("served", ASK)

    assert (body["model"], body["prompt"], body["seed"]) == ("served", [5, 6], seed_of(1, 0))
    assert (body["return_token_ids"], body["return_tokens_as_token_ids"], body["stream"]) == (True,) * 3
    assert (body["add_special_tokens"], body["ignore_eos"], body["stop_token_ids"]) == (False, True, [2])
    assert {"temperature", "top_p", "top_k", "min_p", "repetition_penalty"} <= body.keys()
    assert json.loads(json.dumps(body))["logit_bias"] == {"7": -1.0}
    assert body.keys().isdisjoint({"priority", "structured_outputs", "logprobs", "n"})


def test_lower_priority_goes_first_there() -> None:
    """The other way round than here."""
    assert completion_body("served", replace(ASK, priority=1))["priority"] == -1


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        (Constraint("regex", "[a-z]+"), {"regex": "[a-z]+"}),
        (Constraint("lark", "start: /a/"), {"grammar": "start: /a/"}),
        (
            Constraint("json_schema", '{"type": "null"}'),
            {"json": {"type": "null", "x-guidance": {"whitespace_flexible": False}}},
        ),
        (
            Constraint("json_schema", "true"),
            {"json": {"allOf": [True], "x-guidance": {"whitespace_flexible": False}}},
        ),
    ],
)
def test_constraints_go_in_the_words_of_its_guidance_backend(
    constraint: Constraint, said: dict[str, Any]
) -> None:
    """With our choice of white space."""
    assert completion_body("served", replace(ASK, constraint=constraint))["structured_outputs"] == said


def test_tokens_and_ends_are_read() -> None:
    """The ending token is among them; events without choices bring nothing."""
    assert piece_of(event(token_ids=[3, 4]), None) == Piece((3, 4))
    ended = event(token_ids=[2], finish_reason="stop") | {
        "usage": {"prompt_tokens_details": {"cached_tokens": 16}}
    }
    assert piece_of(ended, None) == Piece((2,), (), "stop", 16)
    assert piece_of({"choices": [], "usage": {}}, None) is None


def test_scores_are_by_token_id_and_the_best_first() -> None:
    """Its own score may stand among the best or beside them."""
    told = {
        "tokens": ["token_id:3"],
        "token_logprobs": [-2.5],
        "top_logprobs": [{"token_id:3": -2.5, "token_id:9": -0.25, "token_id:8": -1.5}],
    }

    assert piece_of(event(token_ids=[3], logprobs=told), 2) == Piece(
        (3,), (TokenLogprob(3, -2.5, ((9, -0.25), (8, -1.5))),)
    )
    assert piece_of(event(token_ids=[3], logprobs=told), 0) == Piece((3,), (TokenLogprob(3, -2.5, ()),))


@pytest.mark.parametrize(
    "told", [{"error": {"message": "x"}}, event(), event(token_ids=[1], finish_reason="abort")]
)
def test_what_is_no_answer_fails(told: dict[str, Any]) -> None:
    """An error in mid-stream, a server too old to tell ids, a choice it gave up on."""
    with pytest.raises(SourceFailed):
        piece_of(told, None)


def test_prompt_is_scored_by_token_id() -> None:
    """The best first; its first token has nothing to say."""
    row = {"6": {"logprob": -2.0, "rank": 3}, "9": {"logprob": -0.5, "rank": 1}}
    answer = {"choices": [{"prompt_logprobs": [None, row]}]}

    assert prompt_scores_of(replace(ASK, prompt_logprobs=1), answer) == (
        TokenLogprob(5, None),
        TokenLogprob(6, -2.0, ((9, -0.5),)),
    )


def test_error_in_place_of_an_answer_may_be_a_refusal() -> None:
    """Its status went out before it was known; the code inside tells."""
    for code, kind in ((400, SourceRefused), (500, SourceFailed), (None, SourceFailed)):
        with pytest.raises(SourceFailed) as failed:
            piece_of({"error": {"message": "x", "type": "BadRequestError", "code": code}}, None)
        assert type(failed.value) is kind
