"""The calls of one choice, from bytes to events."""

import pytest

from antiphon.core.errors import EngineFailed
from antiphon.core.events import ToolArgumentsDelta, ToolCallStarted
from antiphon.service.choice_calls import ChoiceCalls

CALL = '<tool_call>\n{"name": "f", "arguments": {"a":"é"}}\n</tool_call>'.encode()


def test_characters_are_never_split() -> None:
    """Arguments come out whole character by whole character."""
    calls = ChoiceCalls()
    cut = CALL.index("é".encode()) + 1

    started, first = calls.push(CALL[:cut], 2)
    (rest,) = calls.push(CALL[cut:], 2)

    assert isinstance(started, ToolCallStarted)
    assert (started.choice, started.index, started.name) == (2, 0, "f")
    assert (first, rest) == (ToolArgumentsDelta(2, 0, '{"a":"'), ToolArgumentsDelta(2, 0, 'é"}'))


def test_ids_are_unique_letters_and_digits() -> None:
    """24 of them, another for each call."""
    events = ChoiceCalls().push(CALL + b"\n" + CALL, 0)
    ids = {event.id for event in events if isinstance(event, ToolCallStarted)}

    assert [len(id) for id in ids] == [24, 24]
    assert all(id.isalnum() and id.isascii() for id in ids)


def test_call_has_begun_when_its_name_is_known() -> None:
    """A tag alone is no call yet."""
    calls = ChoiceCalls()

    calls.push(b'<tool_call>\n{"name": "f', 0)
    before = calls.begun
    calls.push(b'"', 0)
    assert (before, calls.begun) == (False, True)


def test_broken_grammar_is_the_engines_failure() -> None:
    """It was to hold it."""
    with pytest.raises(EngineFailed):
        ChoiceCalls().push(b"Hi", 0)
