"""Joining the events of an answer."""

from antiphon.core.events import (
    AnswerEvent,
    ChoiceEnded,
    Completed,
    ScoredToken,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)
from antiphon.core.stored import join_deltas

A, B = ScoredToken("a", b"a", -1.0), ScoredToken("b", b"b", -2.0)
END = Completed(Usage(1, 2))


def test_texts_of_interleaved_choices_are_joined() -> None:
    """Text and scores, in the order they came; choices one after the other."""
    events: list[AnswerEvent] = [
        TextDelta(1, "x"),
        TextDelta(0, "a", (A,)),
        ChoiceEnded(1, "length"),
        TextDelta(0, "b", (B,)),
        ChoiceEnded(0, "stop"),
        END,
    ]

    assert join_deltas(events) == (
        TextDelta(0, "ab", (A, B)),
        ChoiceEnded(0, "stop"),
        TextDelta(1, "x"),
        ChoiceEnded(1, "length"),
        END,
    )


def test_arguments_of_each_call_are_joined() -> None:
    """A call's arguments are one text; two calls stay two."""
    events: list[AnswerEvent] = [
        ToolCallStarted(0, 0, "i", "f"),
        ToolArgumentsDelta(0, 0, "{"),
        ToolArgumentsDelta(0, 0, "}"),
        ToolCallStarted(0, 1, "j", "f"),
        ToolArgumentsDelta(0, 1, "{}"),
        ChoiceEnded(0, "tool_calls"),
        END,
    ]

    assert join_deltas(events) == (
        ToolCallStarted(0, 0, "i", "f"),
        ToolArgumentsDelta(0, 0, "{}"),
        ToolCallStarted(0, 1, "j", "f"),
        ToolArgumentsDelta(0, 1, "{}"),
        ChoiceEnded(0, "tool_calls"),
        END,
    )


def test_nothing_joins_to_nothing() -> None:
    """No event, no event."""
    assert join_deltas([]) == ()
