"""Guards one TCP connection, below ASGI: what uvicorn leaves to a proxy that may not be there.

It adds deadlines for the arrival of headers and for readers that stop reading, a bound on
unfinished headers, and OpenAI's envelope for bytes that never become a request. Bodies have their
own deadline, in `bodies`; finished headers are measured in `middleware.guards`.

Invariant: a peer that sends nothing, or one byte now and then, loses its connection; so does one that
vanished without a word, even where nothing is written to it.
"""

import asyncio
import socket
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from antiphon.api.errors import answer
from antiphon.api.exchange import new_request_id
from antiphon.api.http_errors import BadFraming, BodyTimeout, HeadersTooLarge, HttpError
from antiphon.api.options import ApiOptions

_VANISHING: Final[Mapping[str, int]] = MappingProxyType(
    {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
)
"""Seconds of silence until the first probe, seconds between probes, how many may stay unanswered; and
milliseconds that written bytes may stay unacknowledged, during which there are no probes."""


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol with deadlines."""

    def __init__(self, *args: Any, options: ApiOptions, **kwargs: Any) -> None:
        """Guard a connection by these options; all else is uvicorn's."""
        super().__init__(*args, **kwargs)
        self._options = options
        self._in_head = False
        self._unfinished_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first request."""
        super().connection_made(transport)
        notice_vanishing(transport.get_extra_info("socket"))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget all deadlines."""
        _cancel(self._head_timer)
        _cancel(self._write_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then see whether the peer still owes a request."""
        was_in_head = self._in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        if was_in_head and self._in_head:
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > self._options.max_header_bytes:
                self._refuse(HeadersTooLarge())
                return
        if self._in_head or self.cycle is None or self.cycle.response_complete:
            self._await_head()
        else:
            _cancel(self._head_timer)
            self._head_timer = None

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._in_head = True
        self._unfinished_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers, which come after the checks of the headers, are dropped."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A target in absolute form names the host; it overrides the header (RFC 9112, 3.2.2)."""
        self._in_head = False
        if not self.url.startswith(b"/"):
            self.headers[:] = [header for header in self.headers if header[0] != b"host"]
            self.headers.append((b"host", urlsplit(self.url).netloc))
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The peer reads too slowly: give it a while to catch up."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._options.write_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer caught up."""
        super().resume_writing()
        _cancel(self._write_timer)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP; uvicorn calls this, and would answer in plain text."""
        self._refuse(BadFraming())

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._options.head_timeout, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._in_head:
            self._refuse(BodyTimeout())
        else:
            self.transport.close()

    def _refuse(self, error: HttpError) -> None:
        """Answer for a request that never reached the application, then hang up."""
        answering = (
            self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        )
        # In the middle of another answer, anything written would become a part of it.
        if not answering:
            self.transport.write(_raw_answer(error))
        self.transport.close()


def notice_vanishing(peer: socket.socket) -> None:
    """Have the system probe an idle connection, and give up on one that acknowledges nothing.

    An answer that is not streamed writes nothing for minutes: without probes a peer that lost its
    power or its network would hold its choices until the end. Where a system lacks an option it is
    left as it is.
    """
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _VANISHING.items():
        option = getattr(socket, name, None)
        if option is not None:
            peer.setsockopt(socket.IPPROTO_TCP, option, value)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _raw_answer(error: HttpError) -> bytes:
    told = answer(error)
    body = msgspec.json.encode(told.body())
    head = (
        f"HTTP/1.1 {told.status} {HTTPStatus(told.status).phrase}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        "connection: close\r\n"
        f"x-request-id: {new_request_id()}\r\n\r\n"
    )
    return head.encode("ascii") + body
