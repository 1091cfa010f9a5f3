"""Constraints tried by the prober, seen from the API process: which ones the engine may be given.

Starts the prober and keeps it alive; what it found is remembered by `trials`.

Invariant: a prober that was started is ended and reaped by `aclose`; each check gets one answer.
"""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from typing import Final

import msgspec

from antiphon.core.generation import Constraint
from antiphon.engine import frames
from antiphon.engine.trials import ConstraintTrials

_log = logging.getLogger(__name__)

_RESTART_DELAY_S: Final = 0.2


class ConstraintProber:
    """One prober process and its verdicts. `start` it before the first check."""

    def __init__(self) -> None:
        self._vocabulary: frames.Vocabulary | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._trials = ConstraintTrials(self._send)

    @property
    def pid(self) -> int | None:
        """The prober's process number; None while there is none."""
        return self._child.pid if self._child else None

    async def start(self, vocabulary: frames.Vocabulary) -> None:
        """Try constraints for this vocabulary from now on; does nothing where it is so already."""
        if vocabulary == self._vocabulary:
            return
        await self.aclose()
        self._trials.forget()
        self._vocabulary = vocabulary
        await self._launch(vocabulary)

    async def check(self, constraint: Constraint) -> None:
        """Pass if the constraint may be given to the engine.

        Raises:
            SchemaRefused: it may not, with an empty `name`.
            Overloaded: too many are being tried, or the machine is too busy to try it.
        """
        await self._trials.check(constraint)

    async def aclose(self) -> None:
        """End the prober. Idempotent."""
        self._vocabulary = None
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None
        await self._reap()
        self._trials.give_up()

    def _send(self, question: frames.Check) -> bool:
        if self._writer is None:
            return False
        self._writer.write(frames.encode(question))
        return True

    async def _launch(self, vocabulary: frames.Vocabulary) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = _spawn(theirs.fileno())
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=frames.MAX_FRAME_BYTES)
        self._writer.write(frames.encode(vocabulary))
        self._reading = asyncio.create_task(self._read(reader, vocabulary), name="constraint prober")

    async def _read(self, reader: asyncio.StreamReader, vocabulary: frames.Vocabulary) -> None:
        """Hand in answers; when the prober ends although nobody asked it to, start another."""
        decoder = msgspec.msgpack.Decoder(frames.Checked)
        with contextlib.suppress(EOFError):
            while True:
                self._trials.take(await frames.read_frame(reader, decoder))
        _log.error("the prober of constraints has ended; starting another")
        await self._reap()
        self._trials.give_up()
        await asyncio.sleep(_RESTART_DELAY_S)
        await self._launch(vocabulary)

    async def _reap(self) -> None:
        writer, child = self._writer, self._child
        self._writer = self._child = None
        if writer is not None:
            writer.close()
        if child is not None:
            child.kill()
            await asyncio.to_thread(child.wait)


def _spawn(descriptor: int) -> subprocess.Popen[bytes]:
    # A process that forks has no threads; numpy's linear algebra would start some.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "antiphon.engine.prober", str(descriptor)]
    # In a group of its own: the server is ready before it is, and a terminal's signal would meet its imports.
    return subprocess.Popen(
        command, pass_fds=[descriptor], stdin=subprocess.DEVNULL, env=environment, process_group=0
    )
