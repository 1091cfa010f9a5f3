"""The engine process, seen from the API process: start it, exchange frames with it, end it.

It keeps no requests and takes no decisions; `client` does.

Invariant: a process that was started is reaped, and its end of the channel closed, by `kill`.
"""

import asyncio
import logging
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from antiphon.core.errors import EngineUnavailable
from antiphon.core.generation import ModelInfo
from antiphon.engine import frames

_log = logging.getLogger(__name__)

_LOAD_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the engine process loads, and how much it may use. `threads` 0 means all cores."""

    folder: Path
    model_id: str
    digest: str
    context_length: int
    eos_token_ids: tuple[int, ...]
    kv_cache_bytes: int = 1 << 30
    kv_cache_type: Literal["auto", "u8"] = "auto"
    threads: int = 0
    max_running: int = 64
    jump_forward: bool = True
    """Whether tokens that a constraint forces are taken without drawing them; see `loop.EngineLoop`."""


class EngineProcess:
    """A running engine process whose model is loaded."""

    def __init__(
        self, child: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._child = child
        self._reader = reader
        self._writer = writer
        self._decoder = msgspec.msgpack.Decoder(frames.FromEngine)

    @classmethod
    async def launch(cls, options: EngineOptions) -> tuple["EngineProcess", ModelInfo]:
        """Start a process and wait until it has loaded its model.

        Raises:
            EngineUnavailable: it did not; the log says why.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            child = _spawn(theirs.fileno())
        reader, writer = await asyncio.open_connection(sock=ours, limit=frames.MAX_FRAME_BYTES)
        process = cls(child, reader, writer)
        try:
            return process, await process._load(options)
        except BaseException:
            await process.kill()
            raise

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._child.pid

    async def _load(self, options: EngineOptions) -> ModelInfo:
        self.send(_load_message(options))
        try:
            message = await asyncio.wait_for(self.receive(), _LOAD_TIMEOUT_S)
        except (EOFError, TimeoutError):
            raise EngineUnavailable from None
        if isinstance(message, frames.Ready):
            return message.info
        if isinstance(message, frames.LoadFailed):
            _log.error("the engine could not load the model: %s", message.reason)
        raise EngineUnavailable

    def send(self, message: frames.Message) -> None:
        """Queue a frame; lost when the process is gone, for then nothing it speaks of is there either."""
        self._writer.write(frames.encode(message))

    async def receive(self) -> frames.FromEngine:
        """The next message.

        Raises:
            EOFError: the process is gone or sent something else than a frame.
        """
        try:
            (length,) = frames.LENGTH.unpack(await self._reader.readexactly(frames.LENGTH.size))
            if length > frames.MAX_FRAME_BYTES:
                raise EOFError
            message: frames.FromEngine = self._decoder.decode(await self._reader.readexactly(length))
        except (OSError, msgspec.MsgspecError) as error:
            raise EOFError from error
        return message

    async def kill(self) -> None:
        """End it at once and reap it. It holds nothing that could be lost."""
        self._writer.close()
        self._child.kill()
        await asyncio.to_thread(self._child.wait)


def _spawn(descriptor: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "antiphon.engine.host", str(descriptor)]
    return subprocess.Popen(command, pass_fds=[descriptor], stdin=subprocess.DEVNULL)


def _load_message(options: EngineOptions) -> frames.Load:
    return frames.Load(
        folder=str(options.folder),
        model_id=options.model_id,
        digest=options.digest,
        context_length=options.context_length,
        eos_token_ids=options.eos_token_ids,
        kv_cache_bytes=options.kv_cache_bytes,
        kv_cache_type=options.kv_cache_type,
        threads=options.threads,
        max_running=options.max_running,
        jump_forward=options.jump_forward,
    )
