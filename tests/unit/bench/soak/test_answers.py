"""What the soak takes for wrong: each rule fails a stream that breaks it, and no other."""

import json
from typing import Any

import httpx
import pytest

from bench.soak.answers import Broken, Busy, Wrong, refusal, streamed, whole

_USAGE = {"choices": [], "usage": {"completion_tokens": 2}}


def _piece(text: str | None = None, finish: str | None = None, index: int = 0) -> dict[str, Any]:
    choice = {"index": index, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "choices": [choice], "usage": None}


def _client(status: int, body: bytes, **headers: str) -> httpx.AsyncClient:
    answer = httpx.MockTransport(lambda _: httpx.Response(status, content=body, headers=headers))
    return httpx.AsyncClient(transport=answer, base_url="http://test")


def _events(*chunks: dict[str, Any], done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n" if done else "", ": ping\n\n"]).encode()


async def test_stream_in_order_is_read() -> None:
    """Text by choice, the reasons and the id."""
    body = _events(_piece("a"), _piece("x", index=1), _piece("b", "stop"), _piece(finish="length", index=1))
    async with _client(200, body) as client:
        found = await streamed(client, {"n": 2})

    assert found.texts == {0: "ab", 1: "x"}
    assert found.finish_reasons == {0: "stop", 1: "length"}
    assert found.id == "chatcmpl-1"


@pytest.mark.parametrize(
    ("body", "asked", "said"),
    [
        (_events(_piece("a"), done=False), {}, "without"),
        (_events(_piece("a", "stop"), _piece("b")), {}, "behind its end"),
        (_events(_piece("a")), {}, "choices that ended"),
        (_events(_piece("a", "stop")), {"n": 2}, "choices that ended"),
        (_events(_piece("a", "stop"), _USAGE), {}, "usage"),
        (_events(_piece("a", "stop")), {"stream_options": {"include_usage": True}}, "usage"),
        (b"event: surprise\n\n", {}, "no event"),
    ],
)
async def test_stream_that_breaks_a_rule_is_wrong(body: bytes, asked: dict[str, Any], said: str) -> None:
    """Each rule by itself."""
    async with _client(200, body) as client:
        with pytest.raises(Wrong, match=said):
            await streamed(client, asked)


async def test_error_in_a_stream_is_honest() -> None:
    """It is no lie, though nobody is glad of it."""
    body = _events(_piece("a"), {"error": {"type": "server_error"}}, done=False)
    async with _client(200, body) as client:
        with pytest.raises(Broken, match="server_error"):
            await streamed(client, {})


_ERROR = json.dumps({"error": {"message": "m", "type": "t", "param": "n", "code": "c"}}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [(503, {"retry-after": "1"}, Busy), (503, {}, Broken), (500, {}, Broken), (400, {}, Wrong)],
)
async def test_refusals_are_told_apart(status: int, headers: dict[str, str], kind: type[Exception]) -> None:
    """Busy says when to come back."""
    async with _client(status, _ERROR, **headers) as client:
        with pytest.raises(kind):
            await whole(client, "/", {})


async def test_error_without_an_envelope_is_wrong() -> None:
    """Whatever its status."""
    async with _client(503, b"sorry") as client:
        with pytest.raises(Wrong, match="envelope"):
            await whole(client, "/", {})


async def test_refusal_must_blame_the_field() -> None:
    """Another field, or another status, is wrong."""
    async with _client(400, _ERROR) as client:
        await refusal(client, "/", {}, 400, "n")
        with pytest.raises(Wrong, match="expected 400 for temperature"):
            await refusal(client, "/", {}, 400, "temperature")
        with pytest.raises(Wrong, match="expected 404"):
            await refusal(client, "/", b"[", 404, "n")
