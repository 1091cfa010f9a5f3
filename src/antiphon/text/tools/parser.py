"""Reads calls as they are written: text behind the opening tag in, names and arguments out.

Arguments come out as they come in, piece by piece, up to the end of their JSON value; a name comes
out when it is complete. What is read was written under the grammar of `grammar`, so nothing is
guessed: text that is not of that form is an error.

Invariant: for any split of the same text the same calls begin with the same arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from antiphon.text.tools.hermes import AFTER_ARGUMENTS, BEFORE_ARGUMENTS, BEFORE_NAME, BETWEEN_CALLS


class CallMalformed(Exception):
    """The text is not of the form that the grammar allows."""


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call begins; calls are numbered from 0."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """More of the JSON text of a call's arguments."""

    index: int
    text: str


CallEvent = CallStarted | CallArguments

_FRAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "before name": BEFORE_NAME,
        "after name": BEFORE_ARGUMENTS,
        "after": AFTER_ARGUMENTS,
        "between": BETWEEN_CALLS + BEFORE_NAME,
    }
)
"""Per state with a fixed text: that text."""
_NEXT: Final[Mapping[str, str]] = MappingProxyType(
    {"before name": "name", "after name": "arguments", "after": "between", "between": "name"}
)


class CallParser:
    """The calls of one answer, from behind the first opening tag."""

    def __init__(self) -> None:
        """Expect the first call."""
        self._index = 0
        self._state = "before name"
        self._seen = ""
        """Of the frame or name that is being read."""
        self._json = JsonEnd()

    def push(self, text: str) -> list[CallEvent]:
        """What this text adds.

        Raises:
            CallMalformed: it is not of the form of calls.
        """
        events: list[CallEvent] = []
        position = 0
        while position < len(text):
            if self._state == "arguments":
                position += self._take_arguments(text[position:], events)
            else:
                self._take(text[position], events)
                position += 1
        return events

    def _take_arguments(self, text: str, events: list[CallEvent]) -> int:
        size = self._json.push(text)
        events.append(CallArguments(self._index, text[:size]))
        if self._json.complete:
            self._state, self._json = "after", JsonEnd()
        return size

    def _take(self, character: str, events: list[CallEvent]) -> None:
        if self._state == "name":
            if character == '"':
                events.append(CallStarted(self._index, self._seen))
                self._state, self._seen = "after name", ""
            else:
                self._seen += character
            return
        self._seen += character
        frame = _FRAMES[self._state]
        if not frame.startswith(self._seen):
            raise CallMalformed
        if self._seen == frame:
            self._index += self._state == "between"
            self._state, self._seen = _NEXT[self._state], ""


class JsonEnd:
    """Finds where a JSON object or array ends, in pieces of text; checks nothing else of it."""

    def __init__(self) -> None:
        """Before its first bracket."""
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self.complete = False
        """The value has ended; nothing may be pushed."""

    def push(self, text: str) -> int:
        """How many characters of the text belong to the value."""
        for place, character in enumerate(text):
            self._step(character)
            if self._depth == 0:
                self.complete = True
                return place + 1
        return len(text)

    def _step(self, character: str) -> None:
        if self._in_string:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character == '"':
                self._in_string = False
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
