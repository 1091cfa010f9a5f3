"""Constraints tried by the prober, seen from the API process: which ones the engine may be given.

Starts the prober, keeps it alive, and remembers what it found: a constraint is tried once.

Invariant: a prober that was started is ended and reaped by `aclose`; each check gets one answer, and what
was found out is remembered, also where whoever asked did not wait so long.
"""

import asyncio
import contextlib
import hashlib
import itertools
import logging
import os
import socket
import subprocess
import sys
from collections import OrderedDict
from typing import Final

import msgspec

from antiphon.core.errors import Overloaded, SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.engine import frames

_log = logging.getLogger(__name__)

_MAX_WAITING: Final = 64
"""Checks at once; beyond it, 503."""
_PATIENCE_S: Final = 30.0
"""Of whoever asks; then 503. A verdict that comes later is for the next to ask."""
_LOST_S: Final = 600.0
"""A check without an answer by then has none. What may be before it, 32 of 6 or 12 s, is less."""
_MAX_REMEMBERED: Final = 4096
"""Verdicts; a digest and a short text each."""


class ConstraintProber:
    """One prober process and its verdicts. `start` it before the first check."""

    def __init__(self) -> None:
        self._vocabulary: frames.Vocabulary | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[frames.Checked]] = {}
        self._trying: dict[bytes, asyncio.Task[frames.Checked]] = {}
        self._refusals: OrderedDict[bytes, str | None] = OrderedDict()

    @property
    def pid(self) -> int | None:
        """The prober's process number; None while there is none."""
        return self._child.pid if self._child else None

    async def start(self, vocabulary: frames.Vocabulary) -> None:
        """Try constraints for this vocabulary from now on; does nothing where it is so already."""
        if vocabulary == self._vocabulary:
            return
        await self.aclose()
        self._vocabulary = vocabulary
        await self._launch(vocabulary)

    async def check(self, constraint: Constraint) -> None:
        """Pass if the constraint may be given to the engine.

        Raises:
            SchemaRefused: it may not, with an empty `name`.
            Overloaded: too many are being tried, or the machine is too busy to try it.
        """
        whole = f"{constraint.kind} {constraint.json_behind} {constraint.text}"
        digest = hashlib.sha256(whole.encode()).digest()
        if digest not in self._refusals:
            await self._try(digest, constraint)
        self._refusals.move_to_end(digest)
        refusal = self._refusals[digest]
        if refusal is not None:
            raise SchemaRefused("", refusal)

    async def aclose(self) -> None:
        """End the prober. Idempotent."""
        self._vocabulary = None
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None
        await self._reap()
        self._leave_undecided()

    async def _try(self, digest: bytes, constraint: Constraint) -> None:
        """Have a new constraint's verdict remembered; whoever else asks meanwhile waits for the same one."""
        trying = self._trying.get(digest)
        if trying is None:
            if len(self._trying) >= _MAX_WAITING:
                raise Overloaded
            trying = asyncio.create_task(self._find_out(digest, constraint))
            self._trying[digest] = trying
            trying.add_done_callback(lambda task: self._trying.pop(digest))
        await asyncio.wait([trying], timeout=_PATIENCE_S)
        if not trying.done() or trying.result().undecided:
            raise Overloaded

    async def _find_out(self, digest: bytes, constraint: Constraint) -> frames.Checked:
        answer = await self._ask(constraint)
        if not answer.undecided:
            self._remember(digest, answer.refusal)
        return answer

    async def _ask(self, constraint: Constraint) -> frames.Checked:
        number = next(self._numbers)
        undecided = frames.Checked(number, None, undecided=True)
        if self._writer is None:
            return undecided
        answer: asyncio.Future[frames.Checked] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._writer.write(frames.encode(frames.Check(number, constraint)))
        try:
            return await asyncio.wait_for(answer, _LOST_S)
        except TimeoutError:
            return undecided
        finally:
            del self._asked[number]

    def _remember(self, digest: bytes, refusal: str | None) -> None:
        self._refusals[digest] = refusal
        while len(self._refusals) > _MAX_REMEMBERED:
            self._refusals.popitem(last=False)

    async def _launch(self, vocabulary: frames.Vocabulary) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = _spawn(theirs.fileno())
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=frames.MAX_FRAME_BYTES)
        self._writer.write(frames.encode(vocabulary))
        self._reading = asyncio.create_task(self._read(reader, vocabulary), name="constraint prober")

    async def _read(self, reader: asyncio.StreamReader, vocabulary: frames.Vocabulary) -> None:
        """Hand out answers; when the prober ends although nobody asked it to, start another."""
        decoder = msgspec.msgpack.Decoder(frames.Checked)
        with contextlib.suppress(EOFError):
            while True:
                answer = await frames.read_frame(reader, decoder)
                waiting = self._asked.get(answer.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        _log.error("the prober of constraints has ended; starting another")
        await self._reap()
        self._leave_undecided()
        await asyncio.sleep(_RESTART_DELAY_S)
        await self._launch(vocabulary)

    def _leave_undecided(self) -> None:
        """Tell whoever waits that nothing will come."""
        for number, waiting in self._asked.items():
            if not waiting.done():
                waiting.set_result(frames.Checked(number, None, undecided=True))

    async def _reap(self) -> None:
        writer, child = self._writer, self._child
        self._writer = self._child = None
        if writer is not None:
            writer.close()
        if child is not None:
            child.kill()
            await asyncio.to_thread(child.wait)


_RESTART_DELAY_S: Final = 0.2


def _spawn(descriptor: int) -> subprocess.Popen[bytes]:
    # A process that forks has no threads; numpy's linear algebra would start some.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "antiphon.engine.prober", str(descriptor)]
    # In a group of its own: the server is ready before it is, and a terminal's signal would meet its imports.
    return subprocess.Popen(
        command, pass_fds=[descriptor], stdin=subprocess.DEVNULL, env=environment, process_group=0
    )
