"""Connections below ASGI: deadlines, framing and unfinished headers, byte by byte."""

import asyncio
import socket

import pytest

from antiphon.api.app import ApiOptions
from antiphon.core.events import TextDelta
from tests.unit.api.live import Live, post, running, status_of, until
from tests.unit.api.scripted import HELLO, ScriptedCompletions, Step

BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
IMPATIENT = ApiOptions(head_timeout=0.05, body_timeout=0.05)


async def test_silent_connection_is_closed() -> None:
    """A peer that never sends anything loses its connection without an answer."""
    async with running(options=IMPATIENT) as live:
        assert await live.exchange(b"") == b""


async def test_unfinished_headers_time_out() -> None:
    """A peer that begins a request and stops is told so, in the envelope."""
    async with running(options=IMPATIENT) as live:
        answer = await live.exchange(b"GET /health/live HTTP/1.1\r\nHost: loc")
    assert status_of(answer) == 408
    assert b"x-request-id: req_" in answer
    assert answer.endswith(
        b'{"error":{"message":"The request did not arrive in time.","type":"invalid_request_error",'
        b'"param":null,"code":null}}'
    )


async def test_header_deadline_does_not_move_with_each_byte() -> None:
    """Dripping a byte now and then buys no time."""
    async with running(options=IMPATIENT) as live:
        connection = await live.connect()
        await connection.send(b"GET / HTTP/1.1\r\nX: ")
        reading = asyncio.create_task(connection.read_until(b"}}"))
        while not reading.done():
            connection.writer.write(b"x")
            await asyncio.sleep(0.01)
        assert status_of(await reading) == 408
        connection.writer.transport.abort()


async def test_unfinished_body_times_out() -> None:
    """A body that does not arrive is not waited for."""
    async with running(options=IMPATIENT) as live:
        request = post(BODY).replace(b"Content-Length: 57", b"Content-Length: 900")
        answer = await live.exchange(request)
    assert status_of(answer) == 408
    assert b"connection: close\r\n" in answer


async def test_unread_rest_of_a_refused_body_times_out() -> None:
    """A peer that goes on sending what was already refused loses its connection."""
    async with running(options=ApiOptions(head_timeout=0.05, max_body=10)) as live:
        connection = await live.connect()
        await connection.send(post(BODY).replace(b"Content-Length: 57", b"Content-Length: 900"))
        answer = await connection.read_until(b"}}")
        await connection.send(b"x")
        assert await connection.read_all() == b""
    assert status_of(answer) == 413


async def test_keep_alive_connection_is_closed_when_blank_lines_are_all_it_sends() -> None:
    """Bytes that begin no request do not keep a connection open."""
    async with running(options=IMPATIENT) as live:
        connection = await live.connect()
        await connection.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await connection.read_until(b"}")
        await connection.send(b"\r\n")
        assert await connection.read_all() == b""


async def test_running_answer_outlives_the_header_deadline() -> None:
    """The deadline is for requests, however long the answer takes."""
    gate = asyncio.Event()
    completions = ScriptedCompletions((gate,))
    async with running(completions, IMPATIENT) as live:
        connection = await live.connect()
        await connection.send(post(BODY))
        await asyncio.sleep(0.1)
        assert not completions.opened[0].closed.is_set()
        gate.set()
        assert status_of(await connection.read_until(b"}}")) == 500
        await connection.close()


async def test_reader_that_stops_reading_is_dropped() -> None:
    """A stream nobody reads ends, and so does the generation behind it."""
    completions = ScriptedCompletions([TextDelta(0, "x" * 60_000)] * 500)
    async with running(completions, ApiOptions(write_timeout=0.05)) as live:
        connection = await live.connect()
        await connection.send(post(BODY.replace(b"{", b'{"stream":true,', 1)))
        await until(lambda: bool(completions.opened))
        await completions.opened[0].closed.wait()
        connection.writer.transport.abort()


async def test_reader_that_catches_up_gets_everything() -> None:
    """Reading late is not reading never."""
    flood: list[Step] = [*[TextDelta(0, "x" * 60_000)] * 200, *HELLO]
    completions = ScriptedCompletions(flood)
    async with running(completions) as live:
        connection = await live.connect()
        await connection.send(post(BODY.replace(b"{", b'{"stream":true,', 1), "Connection: close"))
        await until(live.is_held_up)
        assert (await connection.read_all()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def test_endless_headers_are_refused() -> None:
    """A header that does not end is cut off before it fills the memory."""
    async with running(options=ApiOptions(max_header_bytes=100)) as live:
        connection = await live.connect()
        await connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        # Not before the server has read the beginning; what comes with it is not counted.
        await until(lambda: live.connections_in_head() == 1)
        await connection.send(b"X: " + b"x" * 98)
        assert status_of(await connection.read_all()) == 431


REFUSED_FRAMINGS = {
    "content-length and chunked": post(BODY, "Transfer-Encoding: chunked"),
    "two lengths": post(BODY, "Content-Length: 3"),
    "signed length": post(BODY).replace(b"Content-Length: ", b"Content-Length: +"),
    "unknown coding": post(BODY).replace(b"Content-Length: 57", b"Transfer-Encoding: xchunked"),
    "folded header": post(BODY, "X-A: b\r\n c"),
    "bare line feeds": post(BODY).replace(b"\r\n", b"\n"),
    "space before colon": post(BODY).replace(b"Host:", b"Host :"),
    "null in header": post(BODY, "X-A: \0"),
    "no method": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no target": b"POST HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no host": post(BODY).replace(b"Host: localhost\r\n", b""),
    "two hosts": post(BODY, "Host: localhost"),
}


@pytest.mark.parametrize("name", REFUSED_FRAMINGS)
async def test_ambiguous_framing_is_refused(name: str) -> None:
    """What two servers could read differently is answered once, with 400, and never handled."""
    completions = ScriptedCompletions()
    async with running(completions, IMPATIENT) as live:
        answer = await live.exchange(REFUSED_FRAMINGS[name])
    assert status_of(answer) == 400
    assert answer.count(b"HTTP/1.1 400") == 1
    assert b'"type":"invalid_request_error"' in answer
    assert completions.requests == []


@pytest.mark.parametrize(
    "chunks",
    [b'4\r\n{"mo\r\nXX4\r\n', b"0x3\r\nabc\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n"],
    ids=["bad tail", "0x", "negative", "huge"],
)
async def test_broken_chunks_never_reach_the_handler(chunks: bytes) -> None:
    """A body that breaks off is not taken for a shorter one."""
    completions = ScriptedCompletions()
    head = post(BODY).partition(b"\r\n\r\n")[0].replace(b"Content-Length: 57", b"Transfer-Encoding: chunked")
    async with running(completions) as live:
        answer = await live.exchange(head + b"\r\n\r\n" + chunks)
    assert status_of(answer) == 400
    assert completions.requests == []


async def test_chunked_body_is_read() -> None:
    """A body of unknown length is as good as any other; its trailers are dropped."""
    head = post(BODY).partition(b"\r\n\r\n")[0].replace(b"Content-Length: 57", b"Transfer-Encoding: chunked")
    chunked = b"\r\n\r\n39\r\n" + BODY + b"\r\n0\r\nHost: evil.test\r\n\r\n"
    async with running() as live:
        answer = await live.exchange(head + b"\r\nConnection: close" + chunked)
    assert status_of(answer) == 200


async def test_absolute_target_names_the_host() -> None:
    """A foreign name in the target counts, whatever the Host header says."""
    async with running() as live:
        evil = await live.exchange(
            b"GET http://evil.test/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        good = await live.exchange(
            b"GET http://localhost/health/live HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
        )
    assert status_of(evil) == 403
    assert status_of(good) == 200


async def test_garbage_after_a_request_does_not_break_into_its_answer() -> None:
    """Bytes that are not HTTP end a stream; they add nothing to it."""
    completions = ScriptedCompletions((TextDelta(0, "Hi"), asyncio.Event()))
    async with running(completions) as live:
        connection = await live.connect()
        await connection.send(post(BODY.replace(b"{", b'{"stream":true,', 1)))
        await connection.read_until(b"Hi")
        await connection.send(b"\0\0\0garbage\r\n\r\n")
        assert b"HTTP/1.1 400" not in await connection.read_all()
        await completions.opened[0].closed.wait()


async def _pipelined(live: Live) -> bytes:
    request = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
    return await live.exchange(request + b"\r\n" + request + b"Connection: close\r\n\r\n")


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Two requests in one write get two answers."""
    async with running() as live:
        assert (await _pipelined(live)).count(b"HTTP/1.1 200 OK") == 2


async def test_vanished_peers_are_noticed() -> None:
    """The system probes every accepted connection within seconds, whatever the answer's shape."""
    async with running() as live:
        connection = await live.connect()
        await until(lambda: bool(live.state.connections))
        (accepted,) = live.state.connections
        peer = accepted.transport.get_extra_info("socket")

        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_KEEPIDLE"):
            probes = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
            assert [peer.getsockopt(socket.IPPROTO_TCP, option) for option in probes] == [15, 5, 3]
        await connection.close()
