"""Which servers of this user run on this machine: one small file each, locked while its server lives.

The kernel gives a lock back when its holder dies, so a file that nobody locks is of a server that is
gone, whatever became of it; whoever finds one removes it. Files hold an address, never a key.

Invariant: a server whose file cannot be written serves all the same; it is only not found.
"""

import contextlib
import fcntl
import json
import logging
import os
import signal
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts connections."""

    pid: int
    url: str
    """Ends in `/v1`."""
    model: str
    started: int
    """Unix seconds."""
    others: Sequence[str] = ()
    """Further models that it serves."""


@contextlib.contextmanager
def announced(folder: Path, url: str, model: str, others: Sequence[str] = ()) -> Iterator[None]:
    """Let this process be found in `folder` until the block ends."""
    server = RunningServer(os.getpid(), url, model, int(time.time()), others)
    try:
        descriptor = _write(folder, server)
    except OSError as error:
        _log.debug("servers: %s cannot be used (%s): ps and stop will not find this server", folder, error)
        yield
        return
    try:
        yield
    finally:
        _path(folder, server.pid).unlink(missing_ok=True)
        os.close(descriptor)


def running_servers(folder: Path) -> list[RunningServer]:
    """Every server that is announced and alive, the newest first."""
    try:
        _check_private(folder)
        found = [_read(path) for path in sorted(folder.glob("*.json"))]
    except OSError:
        return []
    return sorted((server for server in found if server is not None), key=lambda server: -server.started)


def stop(folder: Path, server: RunningServer, timeout_s: float) -> bool:
    """Ask a server to stop; True when it is gone within the time. Its running answers finish first."""
    deadline = time.monotonic() + timeout_s
    path = _path(folder, server.pid)
    if _read(path) == server:  # else its number may be another's by now
        os.kill(server.pid, signal.SIGTERM)
    while _read(path) == server:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _path(folder: Path, pid: int) -> Path:
    return folder / f"{pid}.json"


def _check_private(folder: Path) -> None:
    """Refuse a folder that another user could have put there, in a place that all may write to.

    Raises:
        OSError: it is not ours alone, or not there.
    """
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise PermissionError(f"{folder} is not this user's own folder")


def _write(folder: Path, server: RunningServer) -> int:
    """Put the file in place, locked; returns the descriptor that holds the lock."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_private(folder)
    part = folder / f".{server.pid}"
    descriptor = os.open(part, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, json.dumps(asdict(server)).encode())
    part.rename(_path(folder, server.pid))
    return descriptor


def _read(path: Path) -> RunningServer | None:
    """The server of a file that is locked; a file that is not is removed."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return RunningServer(**json.loads(file.read()))
            path.unlink(missing_ok=True)
    except (OSError, ValueError, TypeError):
        pass
    return None
