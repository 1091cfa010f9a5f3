"""A PostgreSQL server of the tests' own, on a Unix socket in a folder of its own."""

import glob
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDERS = [
    "/usr/lib/postgresql/*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
]


def programs() -> Path | None:
    """Where the server's programs are; None where it is not installed."""
    on_path = shutil.which("postgres")
    folders = sorted(found for pattern in _FOLDERS for found in glob.glob(pattern))
    return Path(folders[-1]) if folders else Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """A running server."""

    def __init__(self, folder: Path, programs: Path) -> None:
        """Make a cluster in `folder` and start it."""
        self._folder = folder
        self._data = folder / "data"
        self._programs = programs
        self._names = (f"database_{number}" for number in itertools.count())
        # The server refuses to run as root.
        self._user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self._user:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        self._call("initdb", "--auth=trust", "--username=antiphon", "--no-sync", str(self._data))
        self.start()

    def new_database(self) -> str:
        """The URL of an empty database, which nobody else was given."""
        name = next(self._names)
        self._call(
            "psql", "--quiet", "--dbname", self._url("postgres"), "--command", f"CREATE DATABASE {name}"
        )
        return self._url(name)

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = self._folder / "log"
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}'"
        self._call(
            "pg_ctl", "--pgdata", str(self._data), "--log", str(log), "--wait", "--options", options, "start"
        )

    def stop(self) -> None:
        """Stop it as a crash would: connections are cut, nothing is tidied up."""
        self._call("pg_ctl", "--pgdata", str(self._data), "--mode=immediate", "--wait", "stop")

    def _url(self, database: str) -> str:
        return f"postgresql://antiphon@/{database}?host={self._folder}"

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self._user, str(self._programs / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            timeout=60,
        )


@contextmanager
def running(programs: Path) -> Iterator[PostgresServer]:
    """A server, gone afterwards with all that it held."""
    # The path of a Unix socket must be short, and the server's user must be able to walk it.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = PostgresServer(folder, programs)
        try:
            yield server
        finally:
            server.stop()
