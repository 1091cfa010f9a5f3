"""The engine process, seen from the API process: start it, exchange frames with it, end it.

It keeps no requests and takes no decisions; `client` does.

Invariant: a process that was started is reaped, and its end of the channel closed, by `kill`.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from antiphon.core.errors import EngineUnavailable
from antiphon.core.generation import ModelInfo
from antiphon.engine import frames

_log = logging.getLogger(__name__)

_LOAD_TIMEOUT_S = 600.0


class EngineProgram(Protocol):
    """A program to run as the engine process. The first frame says what to load; it answers as `host`."""

    @property
    def folder(self) -> Path:
        """The model's."""
        ...

    @property
    def model_id(self) -> str:
        """What the API calls it."""
        ...

    @property
    def module(self) -> str:
        """What Python runs; its one argument is the descriptor of its end of the socket pair."""
        ...

    @property
    def has_children(self) -> bool:
        """Whether it starts processes, which have to end with it."""
        ...

    @property
    def tries_constraints(self) -> bool:
        """Whether it is asked for each constraint too, for others hold it than the prober's library."""
        ...

    def load(self) -> frames.Message:
        """The first frame."""
        ...


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
    draft_tokens: int = 7
    """Tokens of a choice that are guessed in a step, at most; see `scheduler.SchedulerOptions`."""

    @property
    def module(self) -> str:
        """See `EngineProgram`."""
        return "antiphon.engine.host"

    @property
    def has_children(self) -> bool:
        """See `EngineProgram`."""
        return False

    @property
    def tries_constraints(self) -> bool:
        """See `EngineProgram`."""
        return False

    def load(self) -> frames.Message:
        """See `EngineProgram`."""
        return frames.Load(
            folder=str(self.folder),
            model_id=self.model_id,
            digest=self.digest,
            context_length=self.context_length,
            eos_token_ids=self.eos_token_ids,
            kv_cache_bytes=self.kv_cache_bytes,
            kv_cache_type=self.kv_cache_type,
            threads=self.threads,
            max_running=self.max_running,
            jump_forward=self.jump_forward,
            draft_tokens=self.draft_tokens,
        )


class EngineProcess:
    """A running engine process whose model is loaded."""

    def __init__(self, child: "_Child", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._child = child
        self._reader = reader
        self._writer = writer
        self._decoder = msgspec.msgpack.Decoder(frames.FromEngine)

    @classmethod
    async def launch(cls, program: EngineProgram) -> tuple["EngineProcess", ModelInfo]:
        """Start a process and wait until it has loaded its model.

        Raises:
            EngineUnavailable: it did not; the log says why.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            child = _Child(program, theirs.fileno())
        reader, writer = await asyncio.open_connection(sock=ours, limit=frames.MAX_FRAME_BYTES)
        process = cls(child, reader, writer)
        try:
            return process, await process._load(program)
        except BaseException:
            await process.kill()
            raise

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._child.popen.pid

    async def _load(self, program: EngineProgram) -> ModelInfo:
        self.send(program.load())
        try:
            message = await asyncio.wait_for(self.receive(), _LOAD_TIMEOUT_S)
        except (EOFError, TimeoutError):
            raise EngineUnavailable from None
        if isinstance(message, frames.Ready):
            return message.info
        if isinstance(message, frames.LoadFailed):
            _log.error("model %s: the engine could not load it: %s", program.model_id, message.reason)
        raise EngineUnavailable

    def send(self, message: frames.Message) -> None:
        """Queue a frame; lost when the process is gone, for then nothing it speaks of is there either."""
        self._writer.write(frames.encode(message))

    async def receive(self) -> frames.FromEngine:
        """The next message.

        Raises:
            EOFError: the process is gone or sent something else than a frame.
        """
        message: frames.FromEngine = await frames.read_frame(self._reader, self._decoder)
        return message

    async def kill(self) -> None:
        """End it at once, with what it started, and reap it. It holds nothing that could be lost."""
        self._writer.close()
        self._child.kill()
        await asyncio.to_thread(self._child.popen.wait)


class _Child:
    """The process itself."""

    def __init__(self, program: EngineProgram, descriptor: int) -> None:
        self._leads = program.has_children
        self.popen = subprocess.Popen(
            [sys.executable, "-m", program.module, str(descriptor)],
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            process_group=0 if self._leads else None,
        )

    def kill(self) -> None:
        """Its number is its own until it is reaped, and so is its group's."""
        if not self._leads:
            self.popen.kill()
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
