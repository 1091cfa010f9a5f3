"""The two ways a completion is sent: as a stream of events, or whole.

Both consume the same events. A stream's headers, and its role chunks where they are known, go out as
soon as the completion is open, so that clients and proxies see life during a long prefill; from then
on a failure can only be told inside the stream. Where a model has to be loaded first and that takes long,
the headers go out before, and comments after them.

Invariant: a stream ends as its API ends what went well, in one event of failure, or with its client gone.
"""

import asyncio
import logging
import secrets
import string
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from antiphon.api import sse
from antiphon.api.encode import AnswerHead, Json
from antiphon.api.errors import answer
from antiphon.api.exchange import exchange_of
from antiphon.api.lifecycle import Lifecycle
from antiphon.api.options import ApiOptions
from antiphon.api.presence import ClientGone, while_present
from antiphon.core.errors import AntiphonError, InternalError
from antiphon.core.events import AnswerEvent, Completed, Failed
from antiphon.service.answer import Answer

logger = logging.getLogger(__name__)

_ALPHABET = string.ascii_letters + string.digits


class Spelling(Protocol):
    """How an API writes a stream down: events of an answer in, bytes of server-sent events out."""

    @property
    def ending(self) -> bytes:
        """What closes a stream that went well, behind its last event."""
        ...

    def opening(self) -> bytes:
        """What comes before any event."""
        ...

    def push(self, event: AnswerEvent) -> bytes:
        """What an event adds."""
        ...

    def failure(self, error: AntiphonError) -> bytes:
        """The end of a stream that cannot go on."""
        ...


class Encoder(Protocol):
    """The chunks of an answer."""

    def opening(self) -> list[Json]:
        """Before any event."""
        ...

    def push(self, event: AnswerEvent) -> list[Json]:
        """What an event adds."""
        ...


class ChunkEvents:
    """Chunks without names, closed by `[DONE]`, an error as its envelope: as completions are streamed."""

    ending = sse.DONE

    def __init__(self, encoder: Encoder) -> None:
        """Frame what this encoder makes."""
        self._encoder = encoder

    def opening(self) -> bytes:
        """The chunks before any event."""
        return _framed(self._encoder.opening())

    def push(self, event: AnswerEvent) -> bytes:
        """The chunks that an event adds."""
        return _framed(self._encoder.push(event))

    def failure(self, error: AntiphonError) -> bytes:
        """The error, where a chunk would be."""
        return error_event(error)


def error_event(error: AntiphonError, spell_param: Callable[[str], str] = str) -> bytes:
    """An error's envelope as an event, for an API that spells parameters so."""
    return sse.event(answer(error, spell_param).body())


def head_of(completion: Answer) -> AnswerHead:
    """The facts of an open completion that its answer repeats."""
    return AnswerHead(
        id=completion.id,
        created=completion.created,
        model=completion.model,
        fingerprint=completion.fingerprint,
        choices=completion.choices,
        tier=completion.tier,
    )


async def collect(completion: Answer, push: Callable[[AnswerEvent], object]) -> None:
    """Run an answer to its end and push all its events.

    Raises:
        AntiphonError: it failed.
    """
    async with aclosing(completion.events()) as events:
        async for event in events:
            if isinstance(event, Failed):
                raise event.error
            push(event)
            if isinstance(event, Completed):
                return
    raise InternalError()


@dataclass(frozen=True, slots=True)
class Opened:
    """An open answer, and how it is written down."""

    answer: Answer
    spelling: Spelling


def patience(at_hand: bool, options: ApiOptions) -> float | None:
    """How long a stream waits for its answer to open, in seconds: no end where its model is there.

    Then opening is quick, and what is refused is told by a status.
    """
    return None if at_hand else options.ping_interval


class Opening:
    """An answer that is being opened, for a stream that may begin before it is. To be closed."""

    def __init__(self, work: Coroutine[Any, Any, Opened], patience_s: float | None) -> None:
        """Begin to open it; the stream begins after `patience_s` seconds, with None not before it is open."""
        self._task = asyncio.create_task(work)
        self._patience_s = patience_s

    async def settle(self) -> None:
        """Return when the stream is to begin.

        Raises:
            AntiphonError: it was refused.
        """
        await asyncio.wait((self._task,), timeout=self._patience_s)
        if self._task.done():
            self._task.result()

    async def opened(self) -> Opened:
        """What was opened.

        Raises:
            AntiphonError: it was refused.
        """
        return await self._task

    async def aclose(self) -> None:
        """Give the opening up, or close what it opened. Idempotent."""
        self._task.cancel()
        await asyncio.wait((self._task,))
        if not self._task.cancelled() and self._task.exception() is None:
            await self._task.result().answer.aclose()


async def begin_stream(
    opening: Opening,
    receive: Receive,
    lifecycle: Lifecycle,
    ping_interval: float,
    failure: Callable[[AntiphonError], bytes] = error_event,
) -> "EventStream":
    """The stream of an answer, as soon as that is open, or its opening out of patience.

    `failure` is how a stream ends whose answer turns out not to open.

    Raises:
        AntiphonError: the answer was refused before the stream began.
        ClientGone: the client hung up.
    """
    try:
        await while_present(receive, lifecycle, opening.settle())
    except BaseException:
        await opening.aclose()
        raise
    return EventStream(opening, failure, lifecycle, ping_interval)


class EventStream(Response):
    """Streams an answer; runs it only while the client is there."""

    def __init__(
        self,
        opening: Opening,
        failure: Callable[[AntiphonError], bytes],
        lifecycle: Lifecycle,
        ping_interval: float,
    ) -> None:
        """Made by `begin_stream`; a comment is sent after every `ping_interval` seconds of silence."""
        super().__init__()
        self.raw_headers = list(sse.HEADERS)
        self._opening = opening
        self._failure = failure
        self._lifecycle = lifecycle
        self._ping_interval = ping_interval

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole stream.

        Raises:
            ClientGone: nobody reads it any more.
        """
        writer = _Writer(send, self._ping_interval)
        exchange = exchange_of(scope)
        try:
            await while_present(receive, self._lifecycle, self._run(writer))
        except ClientGone:
            raise
        except AntiphonError as error:
            exchange.error = type(error).__name__
            await writer.write(self._failure(error), more=False)
        except Exception:  # The headers are out: only an event can tell of it.
            exchange.error = InternalError.__name__
            logger.exception("stream failed: request=%s", exchange.id)
            await writer.write(self._failure(InternalError()), more=False)

    async def _run(self, writer: "_Writer") -> None:
        """Everything from the headers to the end of a stream that goes well.

        Raises:
            AntiphonError: the answer was refused or failed; the stream is not ended yet.
        """
        async with aclosing(self._opening):
            await writer.start(self.raw_headers)
            pinging = asyncio.create_task(writer.ping())
            try:
                opened = await self._opening.opened()
                self._failure = opened.spelling.failure
                last = await _write_events(opened, writer)
            finally:
                pinging.cancel()
            # With the end of the body in one write: clients hang up at [DONE].
            await writer.write(last + opened.spelling.ending, more=False)


async def _write_events(opened: Opened, writer: "_Writer") -> bytes:
    """Write the events as they come; the chunks of the last one are returned instead."""
    async with aclosing(opened.answer.events()) as events:
        await writer.write(opened.spelling.opening())
        async for event in events:
            if isinstance(event, Failed):
                raise event.error
            chunks = opened.spelling.push(event)
            if isinstance(event, Completed):
                return chunks
            await writer.write(chunks)
    raise InternalError()


class _Writer:
    """The body of one streamed answer, kept alive by comments."""

    def __init__(self, send: Send, ping_interval: float) -> None:
        self._send = send
        self._ping_interval = ping_interval
        self._written_at = time.monotonic()

    async def start(self, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def write(self, data: bytes, *, more: bool = True) -> None:
        if data:
            self._written_at = time.monotonic()
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def ping(self) -> None:
        """Write a comment whenever nothing else was written for the interval; never returns."""
        while True:
            silent_for = time.monotonic() - self._written_at
            if silent_for >= self._ping_interval:
                await self.write(sse.PING)
            else:
                await asyncio.sleep(self._ping_interval - silent_for)


def _framed(chunks: Iterable[Json]) -> bytes:
    return b"".join(sse.event(chunk) for chunk in chunks)


def random_text(length: int) -> str:
    """Letters and digits that nobody can guess."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
