"""The `antiphon` command as people and scripts run it: in a pipe, or at a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

COMMAND = (sys.executable, "-m", "antiphon")
_TIMEOUT_S = 60.0


def environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment whose servers, caches and data are in this folder, and that no setting is in."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANTIPHON_", "OPENAI_"))
    }
    names = ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "HOME")
    return kept | {name: str(folder) for name in names} | {"TERM": "dumb", "COLUMNS": "100"} | more


def antiphon(folder: Path, *arguments: str, text: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with this input."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(folder, **more),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )


class Terminal:
    """The command at a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str, **more: str) -> None:
        """Start it."""
        self._master, slave = pty.openpty()
        self._child = subprocess.Popen(
            [*COMMAND, *arguments],
            env=environment(folder, **more),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # So that Ctrl+C reaches it: a new session has no terminal until one is taken.
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        self.seen = ""

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._master, text.encode())

    def wait_for(self, pattern: str) -> str:
        """Read on until this appears; what was shown from the last such point up to it."""
        deadline = time.monotonic() + _TIMEOUT_S
        while (match := re.search(pattern, self.seen)) is None:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._master], [], [], 0.1)[0]:
                self.seen += self._read()
        shown, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return shown

    def wait(self) -> int:
        """The exit code, once it has ended."""
        return self._child.wait(_TIMEOUT_S)

    def _read(self) -> str:
        try:
            return os.read(self._master, 1 << 16).decode(errors="replace")
        except OSError as error:  # its end, on Linux
            raise AssertionError(f"the command has ended: {self.seen}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        os.close(self._master)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
