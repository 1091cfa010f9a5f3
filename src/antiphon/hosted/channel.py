"""The lines between a hosted server and its parent: one JSON object each, over two pipes.

To the child, on its standard input: first `{"settings": {…}}`, then scripted answers. From the child,
on what was its standard output: progress, then `ready` or `failed`, then one `done` for each line that
came. The end of the child's input means that the parent is gone: then the server stops.

Invariant: a line is a whole JSON object, or it is not taken.
"""

import json
import os
import select
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any

Message = dict[str, Any]

_READ_BYTES = 1 << 16


def write_line(file: IO[bytes], message: Mapping[str, object]) -> None:
    """Send one message at once.

    Raises:
        OSError: the other side is gone.
    """
    file.write(json.dumps(message).encode() + b"\n")
    file.flush()


def read_lines(file: IO[bytes]) -> Iterator[Message]:
    """Every message until the other side is gone; blocks."""
    for line in iter(file.readline, b""):
        if line.endswith(b"\n"):
            yield json.loads(line)


class TimedLines:
    """Messages from a pipe, each waited for no longer than until a deadline."""

    def __init__(self, pipe: IO[bytes]) -> None:
        """Read from this pipe, which nobody else reads."""
        self._descriptor = pipe.fileno()
        self._rest = b""

    def read(self, deadline: float) -> Message | None:
        """The next message, or None where the other side is gone. `deadline` is `time.monotonic`'s.

        Raises:
            TimeoutError: it did not come in time.
        """
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            arrived = os.read(self._descriptor, _READ_BYTES)
            if not arrived:
                return None
            self._rest += arrived
        line, self._rest = self._rest.split(b"\n", 1)
        message: Message = json.loads(line)
        return message
