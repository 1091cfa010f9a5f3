"""From events to chunks, and to one completion."""

import math
from typing import Any

import msgspec
import pytest

from antiphon.api.encode import PADDING_BLOCK, AnswerHead, AnswerShape, ChunkEncoder, CompletionFold, Json
from antiphon.core.events import AlternativeToken, ChoiceEnded, Completed, ScoredToken, TextDelta, Usage

PLAIN = AnswerShape()
HEAD = AnswerHead("abc", 1700000000, "m", "x", 1)
USAGE = Usage(prompt_tokens=5, completion_tokens=7, cached_tokens=3)


def encoder(shape: AnswerShape = PLAIN, choices: int = 1) -> ChunkEncoder:
    """An encoder whose padding is made of x."""
    return ChunkEncoder(AnswerHead("abc", 1700000000, "m", "x", choices), shape, lambda size: "x" * size)


def opened(shape: AnswerShape = PLAIN) -> ChunkEncoder:
    """The same behind its opening."""
    begun = encoder(shape)
    begun.opening()
    return begun


def only_choice(chunk: Json) -> Any:
    """The one choice of a chunk."""
    (choice,) = chunk["choices"]
    return choice


def test_chunk_has_openai_keys_in_openai_order() -> None:
    """Without usage and obfuscation there is no key for them."""
    (chunk,) = encoder().opening()
    assert msgspec.json.encode(chunk) == (
        b'{"id":"chatcmpl-abc","object":"chat.completion.chunk","created":1700000000,"model":"m",'
        b'"service_tier":"default","system_fingerprint":"fp_x","choices":[{"index":0,'
        b'"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}'
    )


def test_opening_has_one_role_chunk_per_choice_in_order() -> None:
    """SDKs count on the first appearance of choices in order."""
    chunks = encoder(choices=3).opening()
    assert [only_choice(chunk)["index"] for chunk in chunks] == [0, 1, 2]
    assert all(only_choice(chunk)["delta"]["role"] == "assistant" for chunk in chunks)


def test_text_says_nothing_but_itself() -> None:
    """No role after the first chunk."""
    (chunk,) = opened().push(TextDelta(0, "Hi"))
    assert only_choice(chunk) == {
        "index": 0,
        "delta": {"content": "Hi"},
        "logprobs": None,
        "finish_reason": None,
    }


def test_text_without_text_is_left_out() -> None:
    """Unless it carries tokens."""
    token = ScoredToken("", b"\xf0\x9f", -1.0)
    assert encoder().push(TextDelta(0, "")) == []
    (chunk,) = opened(AnswerShape(logprobs=True)).push(TextDelta(0, "", (token,)))
    assert only_choice(chunk)["delta"] == {"content": ""}


def test_answer_that_may_call_begins_with_its_first_event() -> None:
    """Nothing is said of its content before it is known."""
    asked = encoder(AnswerShape(may_call=True))
    assert asked.opening() == []
    opening, text = asked.push(TextDelta(0, "Hi"))
    assert only_choice(opening)["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert only_choice(text)["delta"] == {"content": "Hi"}


def test_finish_has_a_chunk_of_its_own() -> None:
    """With an empty delta and no logprobs."""
    (chunk,) = opened(AnswerShape(logprobs=True)).push(ChoiceEnded(0, "length"))
    assert only_choice(chunk) == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}


def test_usage_is_null_until_the_last_chunk() -> None:
    """And absent everywhere when nobody asked."""
    asked = encoder(AnswerShape(include_usage=True))
    (opening,) = asked.opening()
    assert opening["usage"] is None
    (last,) = asked.push(Completed(USAGE))
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    assert encoder().push(Completed(USAGE)) == []


TOKENS = (
    ScoredToken(
        " Hi", b" Hi", -0.5, (AlternativeToken(" Hi", b" Hi", -0.5), AlternativeToken("<s>", b"", -2.0))
    ),
    ScoredToken("\ufffd", b"\xf0\x9f", -math.inf),
)
ENCODED_TOKENS = {
    "content": [
        {
            "token": " Hi",
            "logprob": -0.5,
            "bytes": [32, 72, 105],
            "top_logprobs": [
                {"token": " Hi", "logprob": -0.5, "bytes": [32, 72, 105]},
                {"token": "<s>", "logprob": -2.0, "bytes": None},
            ],
        },
        {"token": "\ufffd", "logprob": -9999.0, "bytes": [240, 159], "top_logprobs": []},
    ],
    "refusal": None,
}


def test_logprobs_come_with_their_text() -> None:
    """Empty ones with the role; partial characters are shown as such and kept exactly in bytes."""
    streamed = encoder(AnswerShape(logprobs=True))
    (opening,) = streamed.opening()
    assert only_choice(opening)["logprobs"] == {"content": [], "refusal": None}
    (chunk,) = streamed.push(TextDelta(0, " Hi", TOKENS))
    assert only_choice(chunk)["logprobs"] == ENCODED_TOKENS


@pytest.mark.parametrize("value", [-math.inf, math.nan, -1e300])
def test_logprob_is_always_a_json_number(value: float) -> None:
    """What JSON cannot write, or nobody can use, is the lowest value."""
    (chunk,) = opened(AnswerShape(logprobs=True)).push(TextDelta(0, "", (ScoredToken("a", b"a", value),)))
    assert only_choice(chunk)["logprobs"]["content"][0]["logprob"] == -9999.0


@pytest.mark.parametrize("text", ["", "a", "ab", "a longer piece of text", 'é\n"😀'])
def test_obfuscated_chunks_have_sizes_that_say_little(text: str) -> None:
    """Every size has the same remainder, so only its order of magnitude shows."""
    shaped = encoder(AnswerShape(obfuscate=True, include_usage=True))
    for chunk in shaped.opening() + shaped.push(TextDelta(0, text + ".")):
        assert len(msgspec.json.encode(chunk)) % PADDING_BLOCK == 0
        assert list(chunk)[-1] == "obfuscation"


def test_fold_is_one_completion() -> None:
    """Texts and tokens of each choice in order, whatever order choices interleave in."""
    fold = CompletionFold(AnswerHead("abc", 1700000000, "m", "x", 2), AnswerShape(logprobs=True))
    for event in (
        TextDelta(1, "B", TOKENS[:1]),
        TextDelta(0, "A"),
        TextDelta(1, "b", TOKENS[1:]),
        ChoiceEnded(1, "length"),
        ChoiceEnded(0, "stop"),
        Completed(USAGE),
    ):
        fold.push(event)
    first, second = fold.completion()["choices"]
    assert (first["message"]["content"], first["finish_reason"]) == ("A", "stop")
    assert first["logprobs"] == {"content": [], "refusal": None}
    assert (second["message"]["content"], second["finish_reason"]) == ("Bb", "length")
    assert second["logprobs"] == ENCODED_TOKENS


def test_fold_without_logprobs_has_null() -> None:
    """The key is there all the same."""
    fold = CompletionFold(HEAD, AnswerShape())
    fold.push(TextDelta(0, "A"))
    fold.push(ChoiceEnded(0, "stop"))
    fold.push(Completed(USAGE))
    assert only_choice(fold.completion())["logprobs"] is None
