"""Completions sent as streams and whole, over a real socket."""

import asyncio
import json

import pytest

from antiphon.api.app import ApiOptions
from antiphon.core.errors import EngineFailed, EngineUnavailable, Overloaded
from antiphon.core.events import ChoiceEnded, Completed, Failed, TextDelta, Usage
from tests.unit.api.live import HI, post, running, until
from tests.unit.api.scripted import HELLO, ScriptedCompletions, Step

ENGINE_FAILED_EVENT = {
    "error": {
        "message": (
            "The server had an error while processing your request. Sorry about that! "
            "The x-request-id header of this answer leads to the details in the server's log."
        ),
        "type": "server_error",
        "param": None,
        "code": None,
    }
}


def events_of(text: str) -> list[object]:
    """The data of a stream's events; [DONE] as that string."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    lines = [block.removeprefix("data: ") for block in blocks]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


async def test_stream_opens_before_the_first_token() -> None:
    """Headers and role chunk arrive while the model still reads the prompt."""
    gate = asyncio.Event()
    completions = ScriptedCompletions((gate, *HELLO))
    async with running(completions) as live:
        connection = await live.connect()
        await connection.send(post(json.dumps({**HI, "stream": True}).encode(), "Connection: close"))
        opening = await connection.read_until(b'"role":"assistant"')
        assert not completions.opened[0].closed.is_set()
        gate.set()
        rest = await connection.read_all()
    assert opening.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def test_stream_headers_forbid_buffering() -> None:
    """Proxies and caches are told to leave the stream alone."""
    async with running() as live:
        response = await live.chat(stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"


async def test_stream_ends_in_one_event_when_the_engine_fails() -> None:
    """After a failure: one error event, no [DONE], and a body that ends properly."""
    completions = ScriptedCompletions((TextDelta(0, "Hel"), Failed(EngineFailed())))
    async with running(completions) as live:
        response = await live.chat(stream=True)
    assert response.status_code == 200
    *chunks, last = events_of(response.text)
    assert last == ENGINE_FAILED_EVENT
    assert len(chunks) == 2


@pytest.mark.parametrize(
    "steps",
    [(TextDelta(0, "Hel"), ValueError("a secret")), (TextDelta(0, "Hel"),)],
    ids=["raises", "ends early"],
)
async def test_stream_ends_in_one_event_when_the_service_misbehaves(steps: tuple[Step, ...]) -> None:
    """A bug below ends the stream like any other failure and is not quoted."""
    async with running(ScriptedCompletions(steps)) as live:
        response = await live.chat(stream=True)
    assert events_of(response.text)[-1] == ENGINE_FAILED_EVENT
    assert "secret" not in response.text


@pytest.mark.parametrize("stream", [False, True])
async def test_refusal_before_the_first_byte_is_a_status(stream: bool) -> None:
    """What `open` refuses has the same status, streamed or not."""
    async with running(ScriptedCompletions(refusal=Overloaded(1.5))) as live:
        response = await live.chat(stream=stream)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "server_is_overloaded"
    assert response.headers["retry-after"] == "2"
    assert response.headers["retry-after-ms"] == "1500"


async def test_whole_answer_fails_with_a_status() -> None:
    """Unstreamed, a failure of the engine can still be told as a status."""
    completions = ScriptedCompletions((TextDelta(0, "Hel"), Failed(EngineUnavailable())))
    async with running(completions) as live:
        response = await live.chat()
    assert response.status_code == 503


async def test_whole_answer_of_a_service_that_ends_early_is_a_server_error() -> None:
    """Half an answer is never passed off as a whole one."""
    async with running(ScriptedCompletions((TextDelta(0, "Hel"),))) as live:
        response = await live.chat()
    assert response.status_code == 500


@pytest.mark.parametrize("stream", [False, True])
async def test_completion_is_closed_when_the_client_hangs_up(stream: bool) -> None:
    """Streamed or not, a client that leaves stops the work."""
    completions = ScriptedCompletions((TextDelta(0, "Hel"), asyncio.Event()))
    async with running(completions) as live:
        connection = await live.connect()
        await connection.send(post(json.dumps({**HI, "stream": stream}).encode()))
        await until(lambda: bool(completions.opened))
        await connection.close()
        await completions.opened[0].closed.wait()


async def test_opening_is_cancelled_when_the_client_hangs_up() -> None:
    """A client that leaves while its prompt waits is not waited for."""
    completions = ScriptedCompletions()
    completions.gate.clear()
    async with running(completions) as live:
        connection = await live.connect()
        await connection.send(post(json.dumps(HI).encode()))
        await until(lambda: bool(completions.requests))
        await connection.close()
        await completions.open_cancelled.wait()


async def test_silent_stream_is_kept_alive_by_comments() -> None:
    """While nothing is generated, comments that clients skip are sent."""
    gate = asyncio.Event()
    completions = ScriptedCompletions((gate, *HELLO))
    async with running(completions, ApiOptions(ping_interval=0.01)) as live:
        connection = await live.connect()
        await connection.send(post(json.dumps({**HI, "stream": True}).encode(), "Connection: close"))
        for _ in range(3):
            await connection.read_until(b": ping\n\n")
        gate.set()
        rest = await connection.read_all()
    assert rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_stream_that_opens_slowly_is_kept_alive(path: str) -> None:
    """The headers go out and comments follow while a model is loaded; then it goes on as ever."""
    completions = ScriptedCompletions()
    completions.gate.clear()
    completions.model_is_there = False
    body = json.dumps({"model": "m", "stream": True, "messages": HI["messages"], "input": "Hello"})
    async with running(completions, ApiOptions(ping_interval=0.01)) as live:
        connection = await live.connect()
        await connection.send(post(body.encode(), "Connection: close", path=path))
        head = await connection.read_until(b"\r\n\r\n")
        for _ in range(3):
            await connection.read_until(b": ping\n\n")
        completions.gate.set()
        rest = await connection.read_all()
        await completions.opened[0].closed.wait()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"lo" in rest
    assert rest.endswith(b"\n\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/chat/completions", b'data: {"error":{"message":"The model is not available'),
        ("/v1/responses", b'event: error\ndata: {"type":"error","code":null,"message":"The model is not'),
    ],
)
async def test_refusal_after_a_slow_opening_ends_the_stream(path: str, told: bytes) -> None:
    """There is no status left to tell it by."""
    completions = ScriptedCompletions(refusal=EngineUnavailable())
    completions.gate.clear()
    completions.model_is_there = False
    body = json.dumps({"model": "m", "stream": True, "messages": HI["messages"], "input": "Hello"})
    async with running(completions, ApiOptions(ping_interval=0.01)) as live:
        connection = await live.connect()
        await connection.send(post(body.encode(), "Connection: close", path=path))
        await connection.read_until(b": ping\n\n")
        completions.gate.set()
        rest = await connection.read_all()
    assert told in rest
    assert rest.endswith(b"\n\n\r\n0\r\n\r\n")
    assert b"[DONE]" not in rest


async def test_client_that_leaves_a_slow_opening_cancels_it() -> None:
    """Though its stream has begun."""
    completions = ScriptedCompletions()
    completions.gate.clear()
    completions.model_is_there = False
    async with running(completions, ApiOptions(ping_interval=0.01)) as live:
        connection = await live.connect()
        await connection.send(post(json.dumps({**HI, "stream": True}).encode()))
        await connection.read_until(b": ping\n\n")
        await connection.close()
        await completions.open_cancelled.wait()


async def test_refusal_of_a_loaded_model_is_a_status_however_late() -> None:
    """Nothing is sent before the answer is open."""
    completions = ScriptedCompletions(refusal=EngineUnavailable())
    completions.gate.clear()
    async with running(completions, ApiOptions(ping_interval=0.001)) as live:
        asking = asyncio.create_task(live.chat(stream=True))
        await until(lambda: bool(completions.requests))
        await asyncio.sleep(0.01)
        completions.gate.set()
        response = await asking
    assert response.status_code == 503


async def test_connection_serves_another_request_after_a_stream() -> None:
    """A finished stream leaves its connection usable."""
    async with running() as live:
        connection = await live.connect()
        for _ in range(2):
            await connection.send(post(json.dumps({**HI, "stream": True}).encode()))
            await connection.read_until(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        await connection.close()


async def test_chunk_without_content_is_not_sent() -> None:
    """An event that says nothing makes no noise on the wire."""
    steps = (TextDelta(0, ""), TextDelta(0, "Hi"), ChoiceEnded(0, "length"), Completed(Usage(1, 1)))
    async with running(ScriptedCompletions(steps)) as live:
        response = await live.chat(stream=True)
    assert len(events_of(response.text)) == 4


async def test_obfuscation_is_sent_when_asked_for() -> None:
    """Every chunk has some padding to hide its length behind."""
    async with running() as live:
        plain = await live.chat(stream=True)
        obfuscated = await live.chat(stream=True, stream_options={"include_obfuscation": True})
    lines = [line for line in obfuscated.text.split("\n\n") if line.startswith("data: {")]
    assert all(json.loads(line.removeprefix("data: "))["obfuscation"].isalnum() for line in lines)
    assert "obfuscation" not in plain.text
