"""The process that `antiphon.serve` starts: a server, told its settings by its parent.

Settings come over the pipe, not the command line, which everyone on the machine can read. Standard
output belongs to the channel, so whatever else prints goes to standard error.

Invariant: it does not outlive its parent.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, NoReturn

from antiphon.app import Serving, run
from antiphon.assembly import StartError
from antiphon.config import ConfigError, load
from antiphon.core.messages import ToolCall
from antiphon.engine.backends.fake import QueuedScripts, Script, refuse, say
from antiphon.hosted.channel import Message, read_lines, write_line
from antiphon.text.tools.hermes import written_call

_STEP_BYTES = 1 << 20
"""Progress is told no more often than once in so many bytes."""


def main() -> None:
    """Serve until a stop signal or the end of the parent."""
    parent = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    lines = read_lines(sys.stdin.buffer)
    first = next(lines, None)
    if first is None:
        return
    scripts = QueuedScripts()
    threading.Thread(target=_listen, args=(lines, parent, scripts), daemon=True).start()
    try:
        settings = load(first["settings"], {})
        run(settings, lambda: _progress(parent), lambda serving: _tell_ready(parent, serving), scripts)
    except (ConfigError, StartError) as error:
        _fail(parent, str(error))
    except KeyboardInterrupt:
        pass


def _fail(parent: IO[bytes], reason: str) -> NoReturn:
    write_line(parent, {"kind": "failed", "reason": reason})
    sys.exit(1)


def _tell_ready(parent: IO[bytes], serving: Serving) -> None:
    models = (serving.model, *serving.others)
    names = {"model": serving.model, "models": models, "aliases": serving.aliases}
    write_line(parent, {"kind": "ready", "url": serving.base_url, **names})


def _listen(lines: Iterator[Message], parent: IO[bytes], scripts: QueuedScripts) -> None:
    """Take in scripted answers until the parent is gone, then stop the server."""
    for message in lines:
        if message.get("clear"):
            scripts.clear()
        else:
            scripts.add(_script(message["answer"]))
        write_line(parent, {"kind": "done"})
    os.kill(os.getpid(), signal.SIGTERM)


def _script(answer: Message) -> Script:
    """A scripted answer as the fake engine takes it."""
    if answer["refusal"] is not None:
        return refuse(answer["refusal"])
    calls = [ToolCall("", name, arguments) for name, arguments in answer["calls"]]
    written = ["\n" * (place > 0) + written_call(call) for place, call in enumerate(calls)]
    return say(
        *answer["texts"],
        *written,
        end=answer["end"],
        delay_s=answer["delay_s"],
        fail_after=answer["fail_after"],
    )


class _Progress:
    """Progress on a model, told to the parent."""

    def __init__(self, parent: IO[bytes]) -> None:
        self._parent = parent
        self._untold = 0

    def start(self, label: str, total_bytes: int | None) -> None:
        """A step begins."""
        self._untold = 0
        write_line(self._parent, {"kind": "start", "label": label, "total": total_bytes})

    def advance(self, count: int) -> None:
        """It is further."""
        self._untold += count
        if self._untold >= _STEP_BYTES:
            write_line(self._parent, {"kind": "advance", "bytes": self._untold})
            self._untold = 0

    def done(self) -> None:
        """It is over."""
        write_line(self._parent, {"kind": "advance", "bytes": self._untold})
        write_line(self._parent, {"kind": "end"})


@contextmanager
def _progress(parent: IO[bytes]) -> Iterator[_Progress]:
    yield _Progress(parent)


if __name__ == "__main__":
    main()
