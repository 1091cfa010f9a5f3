"""One streamed completion over one HTTP connection.

httptools (the parser of node, in C) reads HTTP, `sse` the events and `record` the chunks; asyncio's
protocol interface is used bare. Together they cost 25 to 140 µs of CPU a token, the less the more
streams there are, so that the generator takes about one percent of a core that it shares with the
server. Each request has a connection of its own.

Invariant: `stream` always returns a finished record; whatever goes wrong is its `error`.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httptools
import msgspec

from bench.loadgen.record import Record
from bench.loadgen.sse import EventParser

_TIMEOUT_S = 300.0
_ERROR_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send completions."""

    host: str
    port: int
    model: str


async def stream(target: Target, body: Mapping[str, object]) -> Record:
    """Send a request with `stream: true` and take in its answer to the end."""
    record = Record(sent=time.perf_counter())
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            transport, answer = await loop.create_connection(
                lambda: _Answer(record), target.host, target.port
            )
            try:
                transport.write(_request(target, body))
                await answer.ended
            finally:
                transport.close()
    except (OSError, TimeoutError) as error:
        record.error = type(error).__name__
    record.ended = time.perf_counter()
    return record


def _request(target: Target, body: Mapping[str, object]) -> bytes:
    payload = msgspec.json.encode(body)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
        "Content-Type: application/json\r\nAccept: text/event-stream\r\nConnection: close\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


class _Answer(asyncio.Protocol):
    """Takes the answer apart as it comes. `ended` is done once the last byte is here."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._parser = httptools.HttpResponseParser(self)
        self._events = EventParser()
        self._now = 0.0
        self._refusal = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """All that came together has the same time."""
        self._now = time.perf_counter()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, msgspec.MsgspecError) as error:
            self._fail(f"unreadable answer: {type(error).__name__}")

    def connection_lost(self, exc: Exception | None) -> None:
        """An answer that is complete has ended before this."""
        if not self._record.finished and self._record.error is None:
            self._fail("the connection was lost")
        self._end()

    def on_body(self, piece: bytes) -> None:
        """Called by the parser."""
        if self._parser.get_status_code() != 200:
            self._refusal += piece
            return
        for payload in self._events.push(piece):
            self._record.add(payload, self._now)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        status = self._parser.get_status_code()
        if status != 200:
            self._fail(f"{status} {self._refusal.decode(errors='replace')}")
        elif not self._record.finished and self._record.error is None:
            self._fail("no [DONE]")
        self._end()

    def _fail(self, text: str) -> None:
        self._record.error = text[:_ERROR_CHARACTERS]
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
