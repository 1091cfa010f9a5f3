"""Framing of events."""

import pytest

from antiphon.api import sse


def test_event_is_one_data_line() -> None:
    """Compact JSON, Unicode as it is, and a blank line."""
    assert sse.event({"a": "é", "b": [1, None]}) == '{"a":"é","b":[1,null]}'.join(("data: ", "\n\n")).encode()


@pytest.mark.parametrize("text", ["\n\ndata: x\n\n", "\r\n", "\u2028\u2029\x85", "\0"])
def test_event_cannot_be_broken_by_its_text(text: str) -> None:
    """Line breaks of the text are escaped; the frame's own are the only ones."""
    event = sse.event({"a": text})
    assert event.count(b"\n") == 2
    assert event.count(b"\r") == 0
    assert event.endswith(b"}\n\n")


def test_last_event_is_spelled_exactly() -> None:
    """SDKs compare it."""
    assert sse.DONE == b"data: [DONE]\n\n"
