"""What the API process says to the engine process and to the prober, and how it is framed.

A frame is four bytes of big-endian length and one MessagePack message, decoded into exactly these
types: nothing that arrives can name code. `Channel` is the blocking end, for processes without an
event loop; the others read the same frames from an asyncio stream.

Invariant: a frame that is too long or does not decode closes the channel; nothing is guessed.
"""

import asyncio
import select
import socket
import struct
from collections.abc import Iterator
from typing import Generic, Literal, TypeVar

import msgspec

from antiphon.core.generation import (
    Constraint,
    EndReason,
    EnginePhase,
    EngineStats,
    GenerationRequest,
    ModelInfo,
    TokenLogprob,
)

MAX_FRAME_BYTES = 64 * 1024 * 1024
LENGTH = struct.Struct(">I")


class Message(msgspec.Struct, array_like=True, tag=True):
    """Base of everything that crosses."""


class Load(Message):
    """First message to the engine process: what to load and how."""

    folder: str
    model_id: str
    digest: str
    context_length: int
    eos_token_ids: tuple[int, ...]
    kv_cache_bytes: int
    kv_cache_type: Literal["auto", "u8"]
    threads: int
    max_running: int
    jump_forward: bool
    draft_tokens: int


class LoadVllm(Message):
    """First message to an engine process of vLLM: what to load or where it runs, and how."""

    folder: str
    model_id: str
    digest: str
    context_length: int
    vocab_size: int
    eos_token_ids: tuple[int, ...]
    kv_cache_bytes: int
    threads: int
    arguments: dict[str, str]
    """Of vLLM's own, by name; each a JSON value, or a text as it stands."""
    url: str
    key: str


class Submit(Message):
    """Generate this."""

    request: GenerationRequest


class StopChoice(Message):
    """Generate no more for one choice."""

    key: str
    choice: int


class Cancel(Message):
    """Generate no more for a request."""

    key: str


class Vocabulary(Message):
    """First message to the prober: the tokenizer that constraints are compiled for."""

    folder: str
    vocab_size: int
    eos_token_ids: tuple[int, ...]


class Check(Message):
    """Say whether this constraint compiles within the limits; to an engine: whether it is held there."""

    number: int
    constraint: Constraint


class Ready(Message):
    """The model is loaded."""

    info: ModelInfo


class LoadFailed(Message):
    """It could not be loaded; for the operator's log, never for clients."""

    reason: str


class Produced(Message):
    """Tokens and perhaps the end of one choice, or scores of its prompt."""

    key: str
    choice: int
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...]
    end: EndReason | None
    cached_tokens: int
    prompt_scores: tuple[TokenLogprob, ...] = ()


class Stepped(Message):
    """A sign of life: what the last step brought, and the engine's figures."""

    produced: list[Produced]
    failed: list[str]
    """Requests that failed alone."""
    refused: list[str]
    """Requests for which there was no room."""
    stats: EngineStats
    phases: list[EnginePhase]
    """What traced requests have behind them."""


class Checked(Message):
    """Answer to `Check`; `refusal` is None when it compiles."""

    number: int
    refusal: str | None
    undecided: bool = False
    """The machine was too busy to find out."""


ToEngine = Load | LoadVllm | Submit | StopChoice | Cancel | Check
FromEngine = Ready | LoadFailed | Stepped | Checked
ToProber = Vocabulary | Check

_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """The frame of a message."""
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


class ChannelClosed(Exception):
    """The other side is gone or broke the framing."""


Incoming = TypeVar("Incoming", bound=Message)


async def read_frame(reader: asyncio.StreamReader, decoder: "msgspec.msgpack.Decoder[Incoming]") -> Incoming:
    """The next message of a stream.

    Raises:
        EOFError: the other side is gone or sent something else than a frame.
    """
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > MAX_FRAME_BYTES:
            raise EOFError
        return decoder.decode(await reader.readexactly(length))
    except (OSError, msgspec.MsgspecError) as error:
        raise EOFError from error


class Channel(Generic[Incoming]):
    """A child process's end: never blocks longer than asked, never loses the order."""

    def __init__(self, sock: socket.socket, decoder: "msgspec.msgpack.Decoder[Incoming]") -> None:
        """Use `engine_end` or `prober_end`."""
        sock.setblocking(False)
        self._socket = sock
        self._decoder = decoder
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def send(self, message: Message) -> None:
        """Queue a message and write what the socket takes.

        Raises:
            ChannelClosed: the other side is gone, or has not read for far too long.
        """
        self._outgoing += encode(message)
        if len(self._outgoing) > MAX_FRAME_BYTES:
            raise ChannelClosed
        self._flush()

    def receive(self, timeout_s: float) -> list[Incoming]:
        """All complete messages; waits up to `timeout_s` for the first.

        Raises:
            ChannelClosed: the other side is gone or sent something else than a frame.
        """
        writing = [self._socket] if self._outgoing else []
        readable, writable, _ = select.select([self._socket], writing, [], timeout_s)
        if writable:
            self._flush()
        if readable:
            self._fill()
        return list(self._complete())

    def _flush(self) -> None:
        try:
            sent = self._socket.send(self._outgoing)
        except BlockingIOError:
            return
        except OSError as error:
            raise ChannelClosed from error
        del self._outgoing[:sent]

    def _fill(self) -> None:
        try:
            received = self._socket.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError as error:
            raise ChannelClosed from error
        if not received:
            raise ChannelClosed
        self._incoming += received

    def _complete(self) -> Iterator[Incoming]:
        while len(self._incoming) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._incoming)
            if length > MAX_FRAME_BYTES:
                raise ChannelClosed
            end = LENGTH.size + length
            if len(self._incoming) < end:
                return
            body = bytes(self._incoming[LENGTH.size : end])
            del self._incoming[:end]
            try:
                yield self._decoder.decode(body)
            except msgspec.MsgspecError as error:
                raise ChannelClosed from error


def engine_end(sock: socket.socket) -> Channel[ToEngine]:
    """The engine process's end of a socket pair."""
    return Channel(sock, msgspec.msgpack.Decoder(ToEngine))


def prober_end(sock: socket.socket) -> Channel[ToProber]:
    """The prober's end of a socket pair."""
    return Channel(sock, msgspec.msgpack.Decoder(ToProber))
