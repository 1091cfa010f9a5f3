"""The calls of one choice: bytes from the first opening on → characters → call events.

Invariant: for any split of the same bytes the same calls begin with the same arguments.
"""

import secrets
import string
from collections.abc import Iterable, Iterator
from typing import Final

from antiphon.core.errors import EngineFailed
from antiphon.core.events import ToolArgumentsDelta, ToolCallStarted
from antiphon.text.detokenize import Detokenizer
from antiphon.text.tools.parser import (
    HERMES_CALLS,
    CallEvent,
    CallForms,
    CallParser,
    CallStarted,
)
from antiphon.text.tools.syntax import CallMalformed

_ALPHABET: Final = string.ascii_letters + string.digits
_ID_LENGTH: Final = 24


class ChoiceCalls:
    """Turns what a choice writes from the opening of its first call on into events."""

    def __init__(self, forms: CallForms = HERMES_CALLS) -> None:
        """No call has begun."""
        self._detokenizer = Detokenizer()
        self._parser = CallParser(forms)
        self.begun = False
        """A call has been told of."""

    def push(self, data: bytes, choice: int) -> list[ToolCallStarted | ToolArgumentsDelta]:
        """What these bytes add.

        Raises:
            EngineFailed: they break the grammar that the engine was to hold.
        """
        try:
            events = self._parser.push(self._detokenizer.push(data))
        except CallMalformed:
            raise EngineFailed() from None
        return list(self._told(events, choice))

    def _told(
        self, events: Iterable[CallEvent], choice: int
    ) -> Iterator[ToolCallStarted | ToolArgumentsDelta]:
        for event in events:
            if isinstance(event, CallStarted):
                self.begun = True
                yield ToolCallStarted(choice, event.index, _call_id(), event.name, event.custom)
            else:
                yield ToolArgumentsDelta(choice, event.index, event.text)


def _call_id() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
