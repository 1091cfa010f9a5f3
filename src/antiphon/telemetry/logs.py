"""Where log lines go and what they look like: stderr, one line each, for people or for machines.

Messages carry ids, counts and times; never prompts, answers or keys. A line break inside a message
is escaped, so that nothing can forge a line.
"""

import json
import logging
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Literal

LogFormat = Literal["text", "json"]

_FRAMES = 8


def configure_logging(level: str, form: LogFormat) -> None:
    """Log Antiphon's messages from `level` up and its libraries' warnings; replaces what was set."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("antiphon").setLevel(level.upper())


class TextFormatter(logging.Formatter):
    """`2026-01-31 12:00:00 info access: message`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, with the exception's type and places if there is one."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        return f"{when} {record.levelname.lower()} {_source(record)}: {_message(record)}"


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, source, message."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, with the exception's type and places if there is one."""
        fields = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "source": _source(record),
            "message": _message(record),
        }
        return json.dumps(fields, ensure_ascii=False)


def _source(record: logging.LogRecord) -> str:
    return record.name.removeprefix("antiphon.")


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and record.exc_info[0]:
        text += f" ({record.exc_info[0].__name__}: {_places(record.exc_info[2])})"
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _places(trace: TracebackType | None) -> str:
    """Where an exception came from, innermost first. Its text is left out: it may quote a conversation."""
    frames = traceback.extract_tb(trace)[::-1][:_FRAMES]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
