"""The chat route: the whole way from a request to its answer."""

import json

import pytest

from antiphon.api.app import ApiOptions
from tests.unit.api.live import running
from tests.unit.api.scripted import ScriptedCompletions


async def test_whole_answer_is_one_completion() -> None:
    """Every key of the answer, in OpenAI's order."""
    async with running() as live:
        response = await live.chat()
    expected = {
        "id": "chatcmpl-0123456789abcdef",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "total_tokens": 11,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_test",
    }
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.text == json.dumps(expected, separators=(",", ":"))


@pytest.mark.parametrize("stream", [False, True])
async def test_ignored_fields_are_named_in_a_header(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Fields nobody knows, and fields a caller may count on in vain, are told, once in the log too."""
    caplog.set_level("INFO", "antiphon")
    async with running() as live:
        response = await live.chat(stream=stream, nonsense="[secret]", store=True, user="u")
    assert response.headers["x-antiphon-ignored"] == "nonsense, store"
    lines = [record.getMessage() for record in caplog.records if "nonsense" in record.getMessage()]
    assert lines == [
        f"fields without effect: request={response.headers['x-request-id']} fields=nonsense,store"
    ]
    assert "[secret]" not in caplog.text


async def test_ignored_fields_are_named_when_the_answer_is_an_error() -> None:
    """The header is on whatever answer is given."""
    async with running(ScriptedCompletions(())) as live:
        response = await live.chat(nonsense=1)
    assert response.status_code == 500
    assert response.headers["x-antiphon-ignored"] == "nonsense"


async def test_request_without_ignored_fields_has_no_header() -> None:
    """Nothing to tell, nothing told."""
    async with running() as live:
        response = await live.chat(store=False, user="u")
    assert "x-antiphon-ignored" not in response.headers


async def test_ignored_header_is_bounded_and_clean() -> None:
    """Names are cut, counted and stripped of what could break a header."""
    names = ["a b\r\nset-cookie: x", "é" * 3, "x" * 500, *(f"f{index}" for index in range(20))]
    async with running() as live:
        response = await live.chat(**dict.fromkeys(names, 1))
    listed = response.headers["x-antiphon-ignored"].split(", ")
    assert listed[:3] == ["a?b??set-cookie??x", "???", "x" * 64]
    assert listed[-2:] == ["f12", "..."]
    assert len(listed) == 17


async def test_strict_server_refuses_unknown_fields() -> None:
    """With strict fields the answer is OpenAI's."""
    async with running(options=ApiOptions(strict_fields=True)) as live:
        response = await live.chat(foo=1)
    assert response.status_code == 400
    assert response.json()["error"] == {
        "message": "Unknown parameter: 'foo'.",
        "type": "invalid_request_error",
        "param": "foo",
        "code": "unknown_parameter",
    }


async def test_unknown_model_is_not_found() -> None:
    """No other model is served silently."""
    completions = ScriptedCompletions()
    async with running(completions) as live:
        response = await live.chat(model="gpt-99")
    assert response.status_code == 404
    assert response.json()["error"] == {
        "message": "The model `gpt-99` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }
    assert completions.requests == []


async def test_accept_header_does_not_choose_streaming() -> None:
    """SDKs accept JSON even when they stream; only `stream` decides."""
    async with running() as live:
        live.client.headers["accept"] = "text/event-stream"
        whole = await live.chat()
        live.client.headers["accept"] = "application/json"
        streamed = await live.chat(stream=True)
    assert whole.headers["content-type"] == "application/json"
    assert streamed.headers["content-type"].startswith("text/event-stream")
