"""Log lines: their form, and what never gets into them."""

import json
import logging
import sys

import pytest

from antiphon.telemetry.logs import JsonFormatter, TextFormatter


def record(message: str, *, failing: bool = False) -> logging.LogRecord:
    """A record as a module of Antiphon makes it, with an exception's trace if `failing`."""
    trace = None
    if failing:
        try:
            raise ValueError("the client's secret")
        except ValueError:
            trace = sys.exc_info()
    return logging.LogRecord("antiphon.api.streaming", logging.INFO, __file__, 1, message, (), trace)


def test_json_lines_hold_time_level_source_and_message() -> None:
    """One JSON object per line, with fixed keys."""
    line = json.loads(JsonFormatter().format(record("hello")))

    assert line.pop("time").endswith("Z")
    assert {"level": "info", "source": "api.streaming", "message": "hello"} == line


def test_text_lines_name_level_and_source() -> None:
    """The part after the time is fixed."""
    line = TextFormatter().format(record("hello"))

    assert "info api.streaming: hello" == line[len("2026-01-31 12:00:00 ") :]


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_line_breaks_in_messages_cannot_forge_a_line(formatter: logging.Formatter) -> None:
    """Whatever a message holds, it stays one line."""
    assert 1 == len(formatter.format(record("one\r\n2026-01-31 12:00:00 error forged")).splitlines())


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_exceptions_are_logged_by_type_and_place_without_their_text(formatter: logging.Formatter) -> None:
    """An exception's text may quote a conversation, so it is left out."""
    line = formatter.format(record("failed", failing=True))

    assert "(ValueError: test_logs.py:" in line
    assert "secret" not in line
