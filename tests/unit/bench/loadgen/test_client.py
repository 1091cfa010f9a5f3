"""The load generator against a real socket that says what it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.loadgen.client import Target, stream
from bench.loadgen.drive import drive
from bench.workloads import Conversation, Workload

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
HELLO = b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


def chunked(*pieces: bytes) -> bytes:
    """A chunked body of these pieces, ended."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@asynccontextmanager
async def server(answer: bytes, heard: list[bytes] | None = None) -> AsyncIterator[Target]:
    """Answers every request with the same bytes and hangs up."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        if heard is not None:
            heard.append(body)
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with listener:
        yield Target("127.0.0.1", listener.sockets[0].getsockname()[1], "m")


async def test_stream_takes_a_whole_answer_in() -> None:
    """Text, usage and end arrive; there is no error."""
    async with server(HEAD + chunked(HELLO, USAGE + DONE)) as target:
        record = await stream(target, {"model": "m"})
    assert record.error is None
    assert record.texts == {0: "Hello"}
    assert (record.output_tokens, record.prompt_tokens) == (3, 7)
    assert record.first_token_s is not None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy", "503 busy"),
        (HEAD + chunked(HELLO), "no [DONE]"),
        (HEAD + b"5\r\nda", "the connection was lost"),
        (HEAD + chunked(b"data: {\n\n"), "unreadable answer: "),
        (b"hello", "unreadable answer: "),
        (b"", "the connection was lost"),
    ],
)
async def test_stream_names_what_went_wrong(answer: bytes, error: str) -> None:
    """Every bad answer becomes the record's error."""
    async with server(answer) as target:
        record = await stream(target, {})
    assert record.error is not None
    assert record.error.startswith(error)


async def test_stream_to_nobody_is_an_error() -> None:
    """A refused connection is told like any failure."""
    async with server(b"") as target:
        pass
    assert (await stream(target, {})).error == "ConnectionRefusedError"


async def test_drive_quotes_the_answers_of_earlier_turns() -> None:
    """Each turn's request holds the whole conversation so far; each conversation is held once."""
    heard: list[bytes] = []
    workload = Workload("w", (Conversation(("one", "two")),) * 2, {"max_tokens": 3}, Conversation(("zero",)))
    async with server(HEAD + chunked(HELLO, USAGE, DONE), heard) as target:
        run = await drive(target, workload, concurrency=4)
    assert (len(run.opening), len(run.records)) == (1, 4)
    assert b'"content":"zero"' in heard[0]
    last = (
        b'[{"role":"user","content":"one"},{"role":"assistant","content":"Hello"},'
        b'{"role":"user","content":"two"}]'
    )
    assert sum(last in body for body in heard) == 2


async def test_drive_ends_a_conversation_at_an_error() -> None:
    """There is no second turn after a failed first one."""
    workload = Workload("w", (Conversation(("one", "two")),), {})
    async with server(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") as target:
        run = await drive(target, workload, concurrency=1)
    assert [record.error for record in run.records] == ["500 "]
