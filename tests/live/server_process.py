"""`antiphon serve` as a user runs it: a process of its own, known by what it prints."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

START_TIMEOUT_S = 400.0
"""The first start fetches and prepares the model; vLLM compiles for minutes on a busy machine."""


class ServerProcess:
    """A server in a session, and so a process group, of its own."""

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
        """Start it on a free port; its output goes to files in `folder`."""
        self._out = folder / "stdout"
        self._err = folder / "stderr"
        command = [sys.executable, "-m", "antiphon", "serve", "--port", "0", *arguments]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=os.environ | {"XDG_DATA_HOME": str(folder)} | environment,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait for the banner's last line."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while "Stop with Ctrl+C." not in self.stdout:
            assert self.popen.poll() is None, f"the server ended: {self.stderr}"
            assert time.monotonic() < deadline, f"the server did not start: {self.stderr}"
            time.sleep(0.05)

    @property
    def stdout(self) -> str:
        """What it has printed."""
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        """What it has logged."""
        return self._err.read_text()

    @property
    def base_url(self) -> str:
        """What clients are told to use."""
        match = re.search(r"Base URL\s+(\S+)", self.stdout)
        assert match is not None
        return match[1]

    @property
    def origin(self) -> str:
        """The base URL without its path."""
        return self.base_url.removesuffix("/v1")

    def engines(self) -> list[int]:
        """The process ids of its engine processes; the prober is not one."""
        return [pid for pid, command in self.descendants().items() if "antiphon.engine.host" in command]

    def descendants(self) -> dict[int, str]:
        """The command lines of all that it started, and what those did, by process id."""
        command = ["ps", "-e", "-o", "pid=,ppid=,args="]
        listing = subprocess.run(command, capture_output=True, text=True, check=True)
        rows = [line.split(maxsplit=2) for line in listing.stdout.splitlines()]
        found: dict[int, str] = {}
        parents = {self.popen.pid}
        while parents:
            below = {int(pid): line for pid, parent, line in rows if int(parent) in parents}
            found |= below
            parents = set(below)
        return found

    def group(self) -> list[int]:
        """The process ids of its whole process group."""
        listing = subprocess.run(
            ["ps", "-e", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True
        )
        rows = [line.split() for line in listing.stdout.splitlines()]
        return [int(pid) for pid, group, state in rows if int(group) == self.popen.pid and state[0] != "Z"]

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, as a terminal does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, number)


@contextlib.contextmanager
def running(folder: Path, *arguments: str, **environment: str) -> Iterator[ServerProcess]:
    """A server that is ready, stopped at the end however that comes."""
    folder.mkdir(parents=True, exist_ok=True)
    server = ServerProcess(list(arguments), folder, environment)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.signal_group(signal.SIGTERM)
        try:
            server.popen.wait(20)
        finally:
            server.signal_group(signal.SIGKILL)
            server.popen.wait()
