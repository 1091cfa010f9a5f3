"""A server as a child process: started, waited for, its CPU time read, ended with its whole tree.

Invariant: when `running` is left, however, no process of the server's session is alive.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.loadgen.client import Target

_HOST = "127.0.0.1"
_STOP_TIMEOUT_S = 20.0
_LOG_TAIL = 2000


class ServerFailed(Exception):
    """The server did not come up; the text ends with the last it wrote."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server."""

    command: Sequence[str]
    port: int
    environment: Mapping[str, str]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    target: Target
    pid: int

    def cpu_seconds(self) -> float:
        """CPU time that the server's processes have used so far."""
        return tree_cpu_seconds(self.pid)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server((_HOST, 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(launch: Launch) -> Iterator[Running]:
    """Run a server until the block ends.

    Raises:
        ServerFailed: it ended, or was not ready in time.
    """
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            launch.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | launch.environment,
            start_new_session=True,
        )
        try:
            model = _wait_for_model(child, launch)
            if model is None:
                raise ServerFailed(f"{launch.command[0]}: not ready: …{_tail(log.fileno())}")
            yield Running(Target(_HOST, launch.port, model), child.pid)
        finally:
            _end(child)


def _wait_for_model(child: subprocess.Popen[bytes], launch: Launch) -> str | None:
    """The name of the served model, once the server tells it; None if it never does."""
    deadline = time.monotonic() + launch.timeout_s
    while time.monotonic() < deadline and child.poll() is None:
        if model := _ask_for_model(launch.port):
            return model
        time.sleep(0.1)
    return None


def _ask_for_model(port: int) -> str | None:
    connection = http.client.HTTPConnection(_HOST, port, timeout=5)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/v1/models")
        answer = connection.getresponse()
        if answer.status == 200:
            return str(json.loads(answer.read())["data"][0]["id"])
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the session to end; insist after a while."""
    for number, patience in ((signal.SIGTERM, _STOP_TIMEOUT_S), (signal.SIGKILL, _STOP_TIMEOUT_S)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, _LOG_TAIL, max(0, size - _LOG_TAIL)).decode(errors="replace")


def tree_cpu_seconds(root: int) -> float:
    """User and system time of a process, its living descendants and the dead ones they reaped."""
    stats = dict(_process_stats())
    ticks, wanted = 0, {root}
    grew = True
    while grew:
        more = {pid for pid, (parent, _) in stats.items() if parent in wanted} - wanted
        wanted |= more
        grew = bool(more)
    ticks = sum(stats[pid][1] for pid in wanted if pid in stats)
    return ticks / os.sysconf("SC_CLK_TCK")


def _process_stats() -> Iterator[tuple[int, tuple[int, int]]]:
    """(pid, (parent, ticks of CPU)) of every process. Source: proc_pid_stat(5)."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended between the listing and now
            fields = file.read_text().rpartition(")")[2].split()
            yield int(file.parent.name), (int(fields[1]), sum(map(int, fields[11:15])))
