"""Reads calls as they are written: text from the opening of the first call on in, names and arguments out.

Arguments come out as they come in, piece by piece, up to the end of their JSON value; of a custom
tool the input comes out, free of JSON. A name comes out when it is complete. What is read was
written under the grammar of `grammar`, so nothing is guessed: text that is not of that form is an
error.

Invariant: for any split of the same text the same calls begin with the same arguments.
"""

import string
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from antiphon.text.tools.custom import INPUT_OPENING, InputReader
from antiphon.text.tools.parameters import ParameterReader
from antiphon.text.tools.syntax import HERMES, CallMalformed, CallSyntax

_NAME: Final = frozenset(string.ascii_letters + string.digits + "_-")


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call begins; calls are numbered from 0."""

    index: int
    name: str
    custom: bool = False


@dataclass(frozen=True, slots=True)
class CallArguments:
    """More of the JSON text of a call's arguments, or of a custom tool's input."""

    index: int
    text: str


CallEvent = CallStarted | CallArguments


@dataclass(frozen=True, slots=True)
class CallForms:
    """How calls are written, and which are of custom tools."""

    syntax: CallSyntax = HERMES
    custom: Set[str] = frozenset()
    raw: Set[str] = frozenset()
    """Of the custom ones, those whose input goes on to the end of the answer as it is."""
    texts: Mapping[str, Set[str]] = field(default_factory=dict)
    """By name: the parameters that are written as they are, where arguments are written one by one."""


HERMES_CALLS: Final = CallForms()
"""Calls of functions only, in the syntax that any model can be told of."""


class CallParser:
    """The calls of one answer."""

    def __init__(self, forms: CallForms = HERMES_CALLS) -> None:
        """Expect the opening of the first call."""
        self._forms = forms
        self._index = 0
        self._name = ""
        self._seen = ""
        """Of the fixed text or name that is being read."""
        self._state = "before name"
        self._expected = forms.syntax.beginnings
        self._arguments: JsonEnd | ParameterReader = JsonEnd()
        self._input: InputReader | None = None

    def push(self, text: str) -> list[CallEvent]:
        """What this text adds.

        Raises:
            CallMalformed: it is not of the form of calls.
        """
        events: list[CallEvent] = []
        position = 0
        while position < len(text):
            if self._state == "raw":
                events.append(CallArguments(self._index, text[position:]))
                break
            if self._state == "arguments":
                position += self._take_arguments(text[position:], events)
            else:
                self._take(text[position], events)
                position += 1
        return events

    def _take_arguments(self, text: str, events: list[CallEvent]) -> int:
        size, told = self._arguments.push(text)
        if self._input is not None:
            told = self._input.push(told)
        if told:
            events.append(CallArguments(self._index, told))
        if self._arguments.complete:
            self._expect("after", self._forms.syntax.after_arguments)
        return size

    def _take(self, character: str, events: list[CallEvent]) -> None:
        if self._state == "name":
            if character in _NAME:
                self._name += character
                return
            self._start_call(events)
        self._seen += character
        if not any(text.startswith(self._seen) for text in self._expected):
            raise CallMalformed
        if self._seen in self._expected:
            self._go_on()

    def _start_call(self, events: list[CallEvent]) -> None:
        custom = self._name in self._forms.custom
        events.append(CallStarted(self._index, self._name, custom))
        raw = INPUT_OPENING if self._name in self._forms.raw else ""
        self._expect("after name", self._forms.syntax.before_arguments + raw)
        self._arguments, self._input = self._reader(), InputReader() if custom else None

    def _reader(self) -> "JsonEnd | ParameterReader":
        if not self._forms.syntax.in_parameters:
            return JsonEnd()
        return ParameterReader(self._forms.texts.get(self._name, frozenset()))

    def _expect(self, state: str, *texts: str) -> None:
        self._state, self._expected, self._seen = state, texts, ""
        if "" in texts:
            self._go_on()

    def _go_on(self) -> None:
        """The fixed text is complete."""
        syntax = self._forms.syntax
        match self._state:
            case "before name":
                self._state, self._name = "name", ""
            case "after name":
                self._state = "raw" if self._name in self._forms.raw else "arguments"
            case "after":
                more = () if syntax.between is None else (syntax.between + syntax.before_name,)
                self._state, self._expected, self._seen = "between", (*more, syntax.closing), ""
            case _ if self._seen == syntax.closing:
                self._state, self._expected = "end", ()
            case _:
                self._index += 1
                self._state, self._name = "name", ""


class JsonEnd:
    """Finds where a JSON object or array ends, in pieces of text; checks nothing else of it."""

    def __init__(self) -> None:
        """Before its first bracket."""
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self.complete = False
        """The value has ended; nothing may be pushed."""

    def push(self, text: str) -> tuple[int, str]:
        """How many characters of the text belong to the value, and these."""
        for place, character in enumerate(text):
            self._step(character)
            if self._depth == 0:
                self.complete = True
                return place + 1, text[: place + 1]
        return len(text), text

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
