"""The last look at a structured answer, before its end is told.

Collects what a choice says, and when it ends by itself has it checked by a validator that knows nothing
of the grammar it was written under. A violation is this server's fault and is told as such; it is counted,
and the log names the keyword, never the text. What no validator reads is counted, too.

Invariant: no choice that was held to a schema ends in `stop` or `tool_calls` unless it is valid, except
where the caller's own stop strings or stop tokens cut it.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from antiphon.core.errors import AnswerBroken
from antiphon.core.events import AnswerEvent, ChoiceEnded, TextDelta, ToolArgumentsDelta, ToolCallStarted
from antiphon.telemetry.metrics import ModelMetrics
from antiphon.text.schema.validator import AnswerInvalid

_log = logging.getLogger(__name__)

_INLINE_CHARS: Final = 4096
"""Texts up to this long are checked on the event loop (about 0.1 ms), longer ones in a thread."""

TEXT: Final = frozenset({""})
"""The name of an answer that calls nothing, among the names of tools."""


class AnswerCheck(Protocol):
    """What has the last word on a text."""

    def check(self, text: str) -> None:
        """Pass if it is valid.

        Raises:
            AnswerInvalid: it is not.
        """
        ...


@dataclass(frozen=True, slots=True)
class AnswerSchemas:
    """What the parts of an answer are held to."""

    text: AnswerCheck | None = None
    """An answer that calls nothing; None: any text."""
    arguments: Mapping[str, AnswerCheck] = field(default_factory=dict)
    """Arguments of calls, and inputs of custom tools, by name."""
    unread: frozenset[str] = frozenset()
    """What is held to something that has no check: custom tools by name, and the text by the empty one."""

    @property
    def parts(self) -> frozenset[str]:
        """What is held to anything, in the same terms."""
        return self.unread | self.arguments.keys() | (TEXT if self.text else frozenset())


class Verification:
    """Listens to one completion."""

    def __init__(self, schemas: AnswerSchemas, metrics: ModelMetrics) -> None:
        """Check against `schemas`; violations are counted in `metrics`."""
        self._schemas = schemas
        self._metrics = metrics
        self._texts: dict[int, list[str]] = {}
        self._calls: dict[int, list[tuple[str, list[str]]]] = {}

    async def listen(self, events: Sequence[AnswerEvent], *, cut: bool) -> None:
        """Hear events of one choice. `cut`: a stop string ended it.

        Raises:
            AnswerBroken: they end in an answer that is not valid.
        """
        for event in events:
            match event:
                case TextDelta(choice, text) if self._schemas.text is not None:
                    self._texts.setdefault(choice, []).append(text)
                case ToolCallStarted():
                    self._calls.setdefault(event.choice, []).append((event.name, []))
                case ToolArgumentsDelta():
                    self._calls[event.choice][event.index][1].append(event.text)
                case ChoiceEnded(choice, reason) if reason != "length":
                    await self._check(choice, cut=cut)
                case _:
                    pass

    async def _check(self, choice: int, *, cut: bool) -> None:
        text, calls = self._texts.pop(choice, []), self._calls.pop(choice, [])
        unread = self._schemas.parts if cut else self._schemas.unread
        if unread & ({name for name, _ in calls} or TEXT):
            self._metrics.answer_unchecked()
        if cut:
            return
        for name, pieces in calls:
            await self._valid(self._schemas.arguments.get(name), pieces)
        if not calls:
            await self._valid(self._schemas.text, text)

    async def _valid(self, validator: AnswerCheck | None, pieces: list[str]) -> None:
        if validator is None:
            return
        text = "".join(pieces)
        try:
            if len(text) <= _INLINE_CHARS:
                validator.check(text)
            else:
                await asyncio.to_thread(validator.check, text)
        except AnswerInvalid as invalid:
            self._metrics.answer_broken()
            _log.error("an answer is not valid under its schema: %s", invalid)
            raise AnswerBroken from None
