"""Stored completions in one SQLite file.

One connection writes and checkpoints, one reads; each has a thread (`lane`). The write-ahead log is
synced at every commit, so that what returned survives a power cut. A lock file keeps a second
server away: two writers would be safe in SQLite but for the WAL-reset race of the versions before
3.51.3, and a server that loses turns to another cannot say how long a commit takes.

Invariant: no completion is found without its project.
"""

import asyncio
import fcntl
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import apsw

from antiphon.core.errors import StoreUnavailable
from antiphon.core.stored import StoredCompletion, StoredPage, StoredQuery
from antiphon.store import codec, migrations
from antiphon.store.errors import StoreError
from antiphon.store.lane import Lane
from antiphon.store.selection import Parameters, Place, select_page

logger = logging.getLogger(__name__)

APPLICATION_ID = 0x416E7469
"""Marks a database file as this program's: "Anti"."""


@dataclass(frozen=True, slots=True)
class SqliteOptions:
    """Bounds."""

    busy_timeout_s: float = 5.0
    """How long to wait for a tool that has locked the file."""
    max_waiting: int = 1024
    """Reads, and writes, that wait at once. New completions are refused at half of it, so that those
    under way find room when they end."""
    page_bytes: int = 4 * 1024 * 1024
    """A page of a list ends behind the completion that reaches this."""
    expire_at_once: int = 200
    """Completions that one call of `expire` forgets at the most."""


def sqlite_version() -> str:
    """The version of the SQLite that is used here."""
    return apsw.sqlite_lib_version()


class SqliteStore:
    """Implements `core.ports.CompletionStore`."""

    def __init__(self, path: Path, options: SqliteOptions = SqliteOptions()) -> None:
        """Open or make the file, readable by its owner only, and bring it up to date. Blocks.

        Raises:
            StoreError: that cannot be done, or another server has it open.
        """
        self._path = path
        self._options = options
        self._lock = _take_file(path)
        try:
            self._prepare()
        except (apsw.Error, StoreError) as error:
            os.close(self._lock)
            raise StoreError(f"{path}: {error}") from error
        self._writer = Lane("writer", self._connect, options.max_waiting)
        self._reader = Lane("reader", partial(self._connect, apsw.SQLITE_OPEN_READONLY), options.max_waiting)
        _log_opening(path)

    async def aclose(self) -> None:
        """As `close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Finish what was begun and let go of the file. Blocks."""
        self._reader.close()
        # Last: the closing of the last connection puts the log into the file.
        self._writer.close()
        os.close(self._lock)

    async def check(self) -> None:
        """Pass where an `add` that follows is expected to work; after a failure, try the disk.

        Raises:
            StoreUnavailable: it is not.
        """
        if self._writer.waiting >= self._options.max_waiting // 2:
            raise StoreUnavailable()
        if self._writer.failed:
            await self._writer.run(_write_nothing)

    async def add(self, completion: StoredCompletion) -> None:
        """Commit a new completion."""
        await self._writer.run(lambda connection: _insert(connection, completion))

    async def get(self, project: str, id: str) -> StoredCompletion | None:
        """One completion of the project."""
        return await self._reader.run(lambda connection: _select(connection, project, id))

    async def list(self, project: str, query: StoredQuery) -> StoredPage | None:
        """A page of them."""
        size = self._options.page_bytes
        return await self._reader.run(lambda connection: _select_page(connection, project, query, size))

    async def set_metadata(
        self, project: str, id: str, metadata: Mapping[str, str]
    ) -> StoredCompletion | None:
        """Replace the metadata of one."""
        return await self._writer.run(lambda connection: _update(connection, project, id, metadata))

    async def delete(self, project: str, id: str) -> bool:
        """Forget one."""
        return await self._writer.run(lambda connection: _delete(connection, project, id))

    async def expire(self, before: int) -> int:
        """Forget some that are too old."""
        limit = self._options.expire_at_once
        return await self._writer.run(lambda connection: _expire(connection, before, limit))

    def _prepare(self) -> None:
        """Bring the file up to date and prove that it can be written."""
        connection = self._connect()
        try:
            # First: nothing is changed in another program's file.
            _migrate(connection)
            connection.pragma("journal_mode", "wal")
            _write_nothing(connection)
        finally:
            connection.close()

    def _connect(self, flags: int = apsw.SQLITE_OPEN_READWRITE) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), flags=flags)
        connection.set_busy_timeout(round(self._options.busy_timeout_s * 1000))
        connection.transaction_mode = "IMMEDIATE" if flags == apsw.SQLITE_OPEN_READWRITE else "DEFERRED"
        connection.pragma("synchronous", "full")
        connection.pragma("foreign_keys", True)
        connection.pragma("mmap_size", 0)
        connection.pragma("secure_delete", True)
        return connection


def _migrate(connection: apsw.Connection) -> None:
    """Bring the file up to this version, each step whole or not at all.

    Raises:
        StoreError: it is another program's, or a later version's.
    """
    version = connection.pragma("user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    expected = APPLICATION_ID if version or tables else 0
    if connection.pragma("application_id") != expected:
        raise StoreError("the file is a database of another program")
    for number, step in enumerate(migrations.pending(migrations.SQLITE, version), version + 1):
        with connection:
            connection.execute(step)
            connection.pragma("user_version", number)
            connection.pragma("application_id", APPLICATION_ID)


def has_wal_reset_race(version: str) -> bool:
    """Whether two connections of this SQLite that write at once may lose commits.

    Source: the release notes of SQLite 3.51.3, and of 3.44.6 and 3.50.7, which have the fix too.
    """
    number = tuple(map(int, version.split(".")))
    return (3, 7, 0) <= number < (3, 51, 3) and not (
        (3, 44, 6) <= number < (3, 45, 0) or (3, 50, 7) <= number < (3, 51, 0)
    )


def _log_opening(path: Path) -> None:
    version = apsw.sqlite_lib_version()
    logger.info("store: completions in %s, SQLite %s", path, version)
    if has_wal_reset_race(version):
        logger.warning(
            "store: SQLite %s may lose commits when two programs write at once; let no other write %s",
            version,
            path,
        )


def _take_file(path: Path) -> int:
    """Make the file if there is none; a descriptor that locks it until it is closed.

    Raises:
        StoreError: another server has it, or it cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(_open_private(path)) as file:
            os.fchmod(file.fileno(), 0o600)
        lock = _open_private(path.with_name(path.name + ".lock"))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreError(f"{path}: another server stores its completions there") from error
    return lock


def _open_private(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _write_nothing(connection: apsw.Connection) -> None:
    """Write a page as it is: a disk that is full, read-only or broken fails here."""
    with connection:
        connection.pragma("user_version", len(migrations.SQLITE))


def _insert(connection: apsw.Connection, completion: StoredCompletion) -> None:
    keeping = completion.keeping
    row = (keeping.project, completion.id, completion.created, completion.model, codec.encode(completion))
    with connection:
        connection.execute(
            "INSERT INTO completions (project, id, created, model, record) VALUES (?, ?, ?, ?, ?)", row
        )
        _insert_metadata(connection, connection.last_insert_rowid(), keeping.metadata)


def _insert_metadata(connection: apsw.Connection, sequence: int, metadata: Mapping[str, str]) -> None:
    connection.executemany(
        "INSERT INTO metadata (sequence, key, value) VALUES (?, ?, ?)",
        [(sequence, key, value) for key, value in metadata.items()],
    )


def _find(connection: apsw.Connection, project: str, id: str) -> tuple[int, str] | None:
    """The sequence number and record of a completion that is not deleted."""
    row: tuple[int, str] | None = connection.execute(
        "SELECT sequence, record FROM completions WHERE project = ? AND id = ? AND record IS NOT NULL",
        (project, id),
    ).fetchone()
    return row


def _select(connection: apsw.Connection, project: str, id: str) -> StoredCompletion | None:
    row = _find(connection, project, id)
    return None if row is None else codec.decode(row[1])


def _update(
    connection: apsw.Connection, project: str, id: str, metadata: Mapping[str, str]
) -> StoredCompletion | None:
    # Nothing can change between these transactions: there is one writer.
    row = _find(connection, project, id)
    if row is None:
        return None
    sequence, record = row
    old = codec.decode(record)
    new = replace(old, keeping=replace(old.keeping, metadata=metadata))
    with connection:
        _set_record(connection, sequence, codec.encode(new))
        _insert_metadata(connection, sequence, metadata)
    return new


def _delete(connection: apsw.Connection, project: str, id: str) -> bool:
    row = _find(connection, project, id)
    if row is None:
        return False
    with connection:
        _set_record(connection, row[0], None)
    return True


def _expire(connection: apsw.Connection, before: int, limit: int) -> int:
    with connection:
        connection.execute(
            "DELETE FROM completions WHERE sequence IN"
            " (SELECT sequence FROM completions WHERE created < ? ORDER BY created LIMIT ?)",
            (before, limit),
        )
    return connection.changes()


def _set_record(connection: apsw.Connection, sequence: int, record: str | None) -> None:
    """Replace the record, or forget it, and forget the metadata."""
    connection.execute("UPDATE completions SET record = ? WHERE sequence = ?", (record, sequence))
    connection.execute("DELETE FROM metadata WHERE sequence = ?", (sequence,))


def _select_page(
    connection: apsw.Connection, project: str, query: StoredQuery, page_bytes: int
) -> StoredPage | None:
    place = None
    if query.after is not None:
        place = _place(connection, project, query.after)
        if place is None:
            return None
    parameters = Parameters("?")
    rows = connection.execute(select_page(project, query, place, parameters), parameters.values)
    page: list[StoredCompletion] = []
    size = 0
    for (record,) in rows:
        if len(page) == query.limit or size >= page_bytes:
            return StoredPage(tuple(page), has_more=True)
        page.append(codec.decode(record))
        size += len(record)
    return StoredPage(tuple(page))


def _place(connection: apsw.Connection, project: str, id: str) -> Place | None:
    """Where in the order a completion is, or was before it was deleted."""
    row: Place | None = connection.execute(
        "SELECT created, sequence FROM completions WHERE project = ? AND id = ?", (project, id)
    ).fetchone()
    return row
