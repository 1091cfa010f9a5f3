"""`POST /v1/completions` over the fake engine."""

from typing import Any, get_type_hints

import pytest
from openai.types.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from antiphon.api.legacy.encode import TokenScores
from antiphon.api.legacy.fields import FIELDS
from antiphon.core.events import AlternativeToken, ScoredToken
from tests.unit.api.fake_server import fake_server

PATH = "/v1/completions"
ASK: dict[str, Any] = {"model": "fake", "prompt": "Once", "seed": 7}


def test_table_knows_every_field_of_the_sdk() -> None:
    """A field that a new SDK can send is missed here, and not by a user."""
    published = {
        name
        for params in (CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming)
        for name in get_type_hints(params)
    }

    assert published - {field.name for field in FIELDS} == set()


async def test_answer_has_the_older_shape() -> None:
    """Every key but the id and the time, with 16 tokens where nothing is said."""
    async with fake_server() as server:
        answer = await server.post(PATH, ASK)

    text = answer["choices"][0]["text"]
    assert answer.pop("id").startswith("cmpl-")
    assert answer.pop("created") > 0
    assert answer.pop("system_fingerprint").startswith("fp_")
    assert answer == {
        "object": "text_completion",
        "model": "fake",
        "service_tier": "default",
        "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": "length"}],
        "usage": answer["usage"],
    }
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (4, 16)
    assert len(text) > 0


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prompt": ["a", "b"], "n": 2},
        {"logprobs": 2},
        {"echo": True, "max_tokens": 4},
        {"echo": True, "logprobs": 2, "prompt": ["☕ " * 40, "x"], "n": 2},
        {"echo": True, "logprobs": 0, "max_tokens": 0},
        {"stop": "e"},
        {"guided_choice": ["yes", "no"]},
    ],
)
async def test_stream_folds_to_the_whole_answer(fields: dict[str, Any]) -> None:
    """Texts, reasons, scores and usage."""
    async with fake_server() as server:
        whole = await server.post(PATH, ASK | fields)
        options = {"stream_options": {"include_usage": True}}
        *chunks, done = await server.events(PATH, ASK | fields | options)

    assert done == "[DONE]"
    assert chunks[-1]["usage"] == whole["usage"]
    for choice in whole["choices"]:
        parts = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert [part["finish_reason"] for part in parts if part["finish_reason"]] == [choice["finish_reason"]]
        if choice["logprobs"] is not None:
            for key, values in choice["logprobs"].items():
                joined = [value for part in parts if part["logprobs"] for value in part["logprobs"][key]]
                assert joined == values


async def test_token_ids_are_prompts_and_echo_spells_them() -> None:
    """One array, or one per prompt; the same ids as text are the same prompt."""
    async with fake_server() as server:
        text = await server.post(PATH, ASK | {"prompt": "Hi", "echo": True})
        ids = await server.post(PATH, ASK | {"prompt": [72, 105], "echo": True})
        several = await server.post(PATH, ASK | {"prompt": [[72, 105], [33]], "echo": True})

    assert text["choices"] == ids["choices"]
    assert text["choices"][0]["text"].startswith("Hi")
    assert several["choices"][0]["text"].startswith("Hi")
    assert several["choices"][1]["text"].startswith("!")


async def test_echo_with_logprobs_scores_the_prompt() -> None:
    """The first token has nothing before it; offsets are those of the whole text."""
    async with fake_server() as server:
        answer = await server.post(PATH, ASK | {"prompt": "Aé", "echo": True, "logprobs": 1, "max_tokens": 2})
    (choice,) = answer["choices"]
    scores = choice["logprobs"]

    assert choice["text"].startswith("Aé")
    assert scores["tokens"][:3] == ["A", "bytes:\\xc3", "bytes:\\xa9"]
    assert scores["token_logprobs"] == [None, *[-0.25] * 4]
    assert scores["top_logprobs"][0] is None
    assert scores["top_logprobs"][1] == {"bytes:\\xc3": -0.25}
    assert scores["text_offset"] == [0, 1, 1, 2, 3]
    assert answer["usage"]["prompt_tokens"] == 3


async def test_text_is_scored_without_a_token_generated() -> None:
    """`max_tokens` 0, as lm-eval asked OpenAI; control tokens that were sent as ids are part of the text."""
    async with fake_server() as server:
        fields = {"prompt": [72, 257, 105], "echo": True, "logprobs": 0, "max_tokens": 0}
        answer = await server.post(PATH, ASK | fields)
        silent = await server.post(PATH, ASK | {"max_tokens": 0})
    (choice,) = answer["choices"]

    assert (choice["text"], choice["finish_reason"]) == ("H<|im_end|>i", "length")
    assert choice["logprobs"]["tokens"] == ["H", "<|im_end|>", "i"]
    assert choice["logprobs"]["text_offset"] == [0, 1, 11]
    assert answer["usage"]["completion_tokens"] == 0
    assert silent["choices"][0]["text"] == ""


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"prompt": None}, ("prompt", "missing_required_parameter")),
        ({"prompt": []}, ("prompt", "empty_array")),
        ({"prompt": {}}, ("prompt", "invalid_type")),
        ({"prompt": [1, "a"]}, ("prompt[1]", "invalid_type")),
        ({"prompt": [[1], []]}, ("prompt[1]", "empty_array")),
        ({"prompt": [259]}, ("prompt", "invalid_value")),
        ({"prompt": [-1]}, ("prompt[0]", "integer_below_min_value")),
        ({"prompt": ["a"] * 65, "n": 2}, ("prompt", "invalid_value")),
        ({"prompt": "a" * 8192}, ("prompt", "context_length_exceeded")),
        ({"logprobs": 6}, ("logprobs", "integer_above_max_value")),
        ({"logprobs": True}, ("logprobs", "invalid_type")),
        ({"max_tokens": -1}, ("max_tokens", "integer_below_min_value")),
        ({"best_of": 3}, ("best_of", "unsupported_parameter")),
        ({"suffix": "."}, ("suffix", "unsupported_parameter")),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    fields: dict[str, Any], refused: tuple[str, str]
) -> None:
    """In the names of this API."""
    async with fake_server() as server:
        assert await server.refusal(PATH, ASK | fields) == refused


async def test_harmless_forms_of_refused_fields_pass() -> None:
    """Clients send defaults."""
    async with fake_server() as server:
        await server.post(PATH, ASK | {"suffix": "", "best_of": 1, "echo": False, "user": "u"})


def test_offsets_count_characters_and_bytes_are_spelled_out() -> None:
    """A token that continues a character stands where that character began."""
    tokens = [
        ScoredToken("a", b"a", -1.0),
        ScoredToken("\ufffd", b"\xc3", -2.0, (AlternativeToken("x", b"x", -0.5),)),
        ScoredToken("\ufffd", b"\xa9", float("-inf")),
        ScoredToken("b", b"b", -1.0),
    ]
    scores = TokenScores()
    first, rest = scores.of(tokens[:2]), scores.of(tokens[2:])

    assert first["text_offset"] + rest["text_offset"] == [0, 1, 1, 2]
    assert first["tokens"] + rest["tokens"] == ["a", "bytes:\\xc3", "bytes:\\xa9", "b"]
    assert first["top_logprobs"] == [{"a": -1.0}, {"x": -0.5, "bytes:\\xc3": -2.0}]
    assert rest["token_logprobs"] == [-9999.0, -1.0]
