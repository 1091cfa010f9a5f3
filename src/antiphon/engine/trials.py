"""Constraints that another process tries: it is asked once for each, and its verdict is remembered.

It knows neither the process nor the way there: whoever owns both passes questions on and hands answers in.

Invariant: each check gets one answer, whatever becomes of the process; and what was found out is
remembered, also where whoever asked did not wait so long.
"""

import asyncio
import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from antiphon.core.errors import Overloaded, SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.engine import frames

_MAX_WAITING: Final = 64
"""Checks at once; beyond it, 503."""
_PATIENCE_S: Final = 30.0
"""Of whoever asks; then 503. A verdict that comes later is for the next to ask."""
_LOST_S: Final = 600.0
"""A check without an answer by then has none. Before it the prober may have 32 of 6 or 12 s."""
_MAX_REMEMBERED: Final = 4096
"""Verdicts; a digest and a short text each."""


class ConstraintTrials:
    """Questions to one process after another, and the verdicts so far."""

    def __init__(self, send: Callable[[frames.Check], bool]) -> None:
        """`send` passes a question on, and says whether there was anybody to take it."""
        self._send = send
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[frames.Checked]] = {}
        self._trying: dict[bytes, asyncio.Task[frames.Checked]] = {}
        self._refusals: OrderedDict[bytes, str | None] = OrderedDict()

    async def check(self, constraint: Constraint) -> None:
        """Pass if the constraint may be given to the engine.

        Raises:
            SchemaRefused: it may not, with an empty `name`.
            Overloaded: too many are being tried, or nobody can find out now.
        """
        whole = f"{constraint.kind} {constraint.json_behind} {constraint.text}"
        digest = hashlib.sha256(whole.encode()).digest()
        if digest in self._refusals:
            self._refusals.move_to_end(digest)
            refusal = self._refusals[digest]
        else:
            refusal = await self._try(digest, constraint)
        if refusal is not None:
            raise SchemaRefused("", refusal)

    def take(self, answer: frames.Checked) -> None:
        """The process has answered; what nobody waits for any more is passed over."""
        waiting = self._asked.get(answer.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def give_up(self) -> None:
        """The process is gone: what it was asked stays undecided."""
        for number, waiting in self._asked.items():
            if not waiting.done():
                waiting.set_result(frames.Checked(number, None, undecided=True))

    def forget(self) -> None:
        """What comes after it may judge otherwise."""
        self._refusals.clear()

    async def _try(self, digest: bytes, constraint: Constraint) -> str | None:
        """The verdict on a new constraint; whoever else asks meanwhile waits for the same one."""
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
        return trying.result().refusal

    async def _find_out(self, digest: bytes, constraint: Constraint) -> frames.Checked:
        answer = await self._ask(constraint)
        if not answer.undecided:
            self._remember(digest, answer.refusal)
        return answer

    async def _ask(self, constraint: Constraint) -> frames.Checked:
        number = next(self._numbers)
        undecided = frames.Checked(number, None, undecided=True)
        answer: asyncio.Future[frames.Checked] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            if not self._send(frames.Check(number, constraint)):
                return undecided
            return await asyncio.wait_for(answer, _LOST_S)
        except TimeoutError:
            return undecided
        finally:
            del self._asked[number]

    def _remember(self, digest: bytes, refusal: str | None) -> None:
        self._refusals[digest] = refusal
        while len(self._refusals) > _MAX_REMEMBERED:
            self._refusals.popitem(last=False)
