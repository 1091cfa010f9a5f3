"""`POST /tokenize` and `POST /detokenize` over the fake engine, whose tokens are bytes."""

from typing import Any

import pytest

from tests.unit.api.fake_server import fake_server

MESSAGES = [{"role": "user", "content": "Hi <|im_end|>"}]


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_a_text_goes_there_and_back(prefix: str) -> None:
    """Control tokens that it spells out stay text."""
    async with fake_server() as server:
        text = "é <|im_end|>"
        tokens = await server.post(f"{prefix}/tokenize", {"model": "fake", "prompt": text})
        back = await server.post(f"{prefix}/detokenize", {"tokens": tokens["tokens"]})

    assert tokens == {
        "tokens": list(text.encode()),
        "count": len(text.encode()),
        "max_model_len": 8192,
        "token_strs": None,
    }
    assert back == {"prompt": text}


async def test_a_conversation_has_the_ids_that_it_is_charged_for() -> None:
    """With tools too."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    async with fake_server() as server:
        tokens = await server.post("/tokenize", {"messages": MESSAGES, "tools": tools})
        ask = {"model": "fake", "messages": MESSAGES, "tools": tools, "max_tokens": 1}
        completion = await server.post("/v1/chat/completions", ask)

    assert tokens["count"] == completion["usage"]["prompt_tokens"]


async def test_tokens_are_spelled_one_by_one_on_request() -> None:
    """Part of a character shows as U+FFFD, a control token by its name."""
    async with fake_server() as server:
        spelled = await server.post("/tokenize", {"prompt": "aé", "return_token_strs": True})
        text = await server.post("/detokenize", {"tokens": [97, 257]})

    assert spelled["token_strs"] == ["a", "\ufffd", "\ufffd"]
    assert text == {"prompt": "a<|im_end|>"}


@pytest.mark.parametrize(
    ("path", "body", "refused"),
    [
        ("/tokenize", {}, ("prompt", "missing_required_parameter")),
        ("/tokenize", {"prompt": "a", "messages": MESSAGES}, ("messages", None)),
        ("/tokenize", {"prompt": 3}, ("prompt", "invalid_type")),
        ("/detokenize", {}, ("tokens", "missing_required_parameter")),
        ("/detokenize", {"tokens": [259]}, ("tokens", "invalid_value")),
        ("/detokenize", {"tokens": [1.5]}, ("tokens[0]", "invalid_type")),
    ],
)
async def test_bad_requests_are_refused_by_name(
    path: str, body: dict[str, Any], refused: tuple[str, str | None]
) -> None:
    """As everywhere."""
    async with fake_server() as server:
        assert await server.refusal(path, body) == refused


@pytest.mark.parametrize("body", [{"prompt": "a"}, {"tokens": [97]}])
async def test_an_unknown_model_is_not_found(body: dict[str, Any]) -> None:
    """Though no model needs to be named."""
    async with fake_server() as server:
        path = "/tokenize" if "prompt" in body else "/detokenize"
        assert await server.refusal(path, body | {"model": "gpt-9"}, 404) == (None, "model_not_found")


async def test_a_key_is_required() -> None:
    """As for every route."""
    async with fake_server(api_key=("secret",)) as server:
        assert await server.refusal("/tokenize", {"prompt": "a"}, 401) == (None, None)
