"""Stored completions in a PostgreSQL database, which several servers may share.

Statements run on a small pool of connections, each within a deadline; a commit has reached the
server's disk when it returns. Texts with NUL characters, which PostgreSQL refuses, are inside of
JSON, where they are escaped.

Invariant: no completion is found without its project; an `add` whose connection broke is resolved
by the completion's id, never stored twice.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import asyncpg

from antiphon.core.errors import StoreUnavailable
from antiphon.core.stored import StoredCompletion, StoredPage, StoredQuery
from antiphon.store import codec, migrations
from antiphon.store.errors import StoreError
from antiphon.store.selection import Parameters, select_page

logger = logging.getLogger(__name__)

T = TypeVar("T")
Connection = Any
"""A connection of asyncpg's pool; the library has no types for it."""

_CONNECTION_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)
_FAILURES = (asyncpg.PostgresError, *_CONNECTION_LOST, TimeoutError)
_LOCK: Final = 0x416E7469
"""Held by the server that brings the tables up to date: "Anti"."""


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """Bounds."""

    connections: int = 4
    timeout_s: float = 5.0
    """For one call, with the wait for a connection."""
    max_waiting: int = 1024
    """Calls that wait or run at once. New completions are refused at half of it, so that those under
    way find room when they end."""
    page_bytes: int = 4 * 1024 * 1024
    """A page of a list ends behind the completion that reaches this."""
    expire_at_once: int = 200
    """Completions that one call of `expire` forgets at the most."""


class PostgresStore:
    """Implements `core.ports.CompletionStore`. To be opened and closed on the loop that uses it."""

    def __init__(self, pool: Any, options: PostgresOptions) -> None:
        """Use a pool of connections to a database that is up to date; see `open_store`."""
        self._pool = pool
        self._options = options
        self._waiting = 0
        self._failed = False

    async def aclose(self) -> None:
        """Finish what was begun, within the deadline of a call, and let go of the connections."""
        try:
            await asyncio.wait_for(self._pool.close(), self._options.timeout_s)
        except _FAILURES:
            self._pool.terminate()

    async def check(self) -> None:
        """Pass where an `add` that follows is expected to work; after a failure, try to write.

        Raises:
            StoreUnavailable: it is not.
        """
        if self._waiting >= self._options.max_waiting // 2:
            raise StoreUnavailable()
        if self._failed:
            await self._run(
                lambda connection: connection.execute("UPDATE antiphon_schema SET version = version")
            )

    async def add(self, completion: StoredCompletion) -> None:
        """Commit a new completion; once more where the connection broke, and nobody knows if it was."""
        await self._run(lambda connection: _insert(connection, completion), attempts=2)

    async def get(self, project: str, id: str) -> StoredCompletion | None:
        """One completion of the project."""
        if "\0" in id:
            return None
        row = await self._run(lambda connection: _find(connection, project, id))
        return None if row is None else codec.decode(row["record"])

    async def list(self, project: str, query: StoredQuery) -> StoredPage | None:
        """A page of them."""
        if "\0" in (query.after or ""):
            return None
        if "\0" in (query.model or ""):
            return StoredPage()
        size = self._options.page_bytes
        return await self._run(lambda connection: _select_page(connection, project, query, size))

    async def set_metadata(
        self, project: str, id: str, metadata: Mapping[str, str]
    ) -> StoredCompletion | None:
        """Replace the metadata of one."""
        if "\0" in id:
            return None
        return await self._run(lambda connection: _update(connection, project, id, metadata))

    async def delete(self, project: str, id: str) -> bool:
        """Forget one."""
        return "\0" not in id and await self._run(lambda connection: _delete(connection, project, id))

    async def expire(self, before: int) -> int:
        """Forget some that are too old; servers that share the database do not wait for each other."""
        limit = self._options.expire_at_once
        return await self._run(lambda connection: _expire(connection, before, limit))

    async def _run(self, work: Callable[[Connection], Awaitable[T]], attempts: int = 1) -> T:
        """What the work returns.

        Raises:
            StoreUnavailable: it failed, took too long, or too much waits.
        """
        if self._waiting >= self._options.max_waiting:
            raise StoreUnavailable()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._options.timeout_s):
                result = await self._attempt(work, attempts)
        except _FAILURES as error:
            # The text may quote what was stored, or how to log in.
            logger.error("store failed: %s", type(error).__name__)
            self._failed = True
            raise StoreUnavailable from None
        finally:
            self._waiting -= 1
        self._failed = False
        return result

    async def _attempt(self, work: Callable[[Connection], Awaitable[T]], attempts: int) -> T:
        try:
            async with self._pool.acquire() as connection:
                return await work(connection)
        except _CONNECTION_LOST:
            if attempts == 1:
                raise
        return await self._attempt(work, attempts - 1)


async def open_store(url: str, options: PostgresOptions = PostgresOptions()) -> PostgresStore:
    """Connect to the database of a `postgresql://` URL and bring its tables up to date.

    Raises:
        StoreError: that cannot be done; the text does not repeat the URL, which may hold a password.
    """
    settings = {
        "application_name": "antiphon",
        "synchronous_commit": "on",
        "statement_timeout": str(round(options.timeout_s * 1000)),
    }
    try:
        pool = asyncpg.create_pool(
            url, min_size=1, max_size=options.connections, timeout=options.timeout_s, server_settings=settings
        )
        await pool
    except (*_FAILURES, ValueError) as error:
        raise StoreError(f"the database cannot be reached ({type(error).__name__})") from error
    try:
        async with pool.acquire() as connection:
            await _migrate(connection)
    except (*_FAILURES, StoreError) as error:
        pool.terminate()
        raise (
            error
            if isinstance(error, StoreError)
            else StoreError(f"the tables cannot be made ({type(error).__name__})")
        ) from error
    logger.info("store: completions in PostgreSQL")
    return PostgresStore(pool, options)


async def _migrate(connection: Connection) -> None:
    """Bring the tables up to this version; servers that start together take turns.

    Raises:
        StoreError: they are a later version's.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute("CREATE TABLE IF NOT EXISTS antiphon_schema (version integer NOT NULL)")
        version = await connection.fetchval("SELECT version FROM antiphon_schema")
        if version is None:
            version = 0
            await connection.execute("INSERT INTO antiphon_schema VALUES (0)")
        # A large table takes its time.
        await connection.execute("SET LOCAL statement_timeout = 0")
        for step in migrations.pending(migrations.POSTGRESQL, version):
            await connection.execute(step)
        await connection.execute("UPDATE antiphon_schema SET version = $1", len(migrations.POSTGRESQL))


async def _insert(connection: Connection, completion: StoredCompletion) -> None:
    keeping = completion.keeping
    async with connection.transaction():
        sequence = await connection.fetchval(
            "INSERT INTO antiphon_completions (project, id, created, model, record)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING RETURNING sequence",
            keeping.project,
            completion.id,
            completion.created,
            completion.model,
            codec.encode(completion),
        )
        if sequence is not None:
            await _insert_metadata(connection, sequence, keeping.metadata)


async def _insert_metadata(connection: Connection, sequence: int, metadata: Mapping[str, str]) -> None:
    pairs = [(sequence, json.dumps(key), json.dumps(value)) for key, value in metadata.items()]
    await connection.executemany(
        "INSERT INTO antiphon_metadata (sequence, key, value) VALUES ($1, $2, $3)", pairs
    )


async def _find(connection: Connection, project: str, id: str, lock: str = "") -> Any:
    """The row of a completion that is not deleted, or None."""
    return await connection.fetchrow(
        "SELECT sequence, record FROM antiphon_completions"
        f" WHERE project = $1 AND id = $2 AND record IS NOT NULL {lock}",
        project,
        id,
    )


async def _update(
    connection: Connection, project: str, id: str, metadata: Mapping[str, str]
) -> StoredCompletion | None:
    async with connection.transaction():
        row = await _find(connection, project, id, "FOR UPDATE")
        if row is None:
            return None
        old = codec.decode(row["record"])
        new = replace(old, keeping=replace(old.keeping, metadata=metadata))
        await _set_record(connection, row["sequence"], codec.encode(new))
        await _insert_metadata(connection, row["sequence"], metadata)
    return new


async def _delete(connection: Connection, project: str, id: str) -> bool:
    async with connection.transaction():
        row = await _find(connection, project, id, "FOR UPDATE")
        if row is not None:
            await _set_record(connection, row["sequence"], None)
    return row is not None


async def _expire(connection: Connection, before: int, limit: int) -> int:
    gone = await connection.fetch(
        "DELETE FROM antiphon_completions WHERE sequence IN"
        " (SELECT sequence FROM antiphon_completions WHERE created < $1"
        " ORDER BY created LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING sequence",
        before,
        limit,
    )
    return len(gone)


async def _set_record(connection: Connection, sequence: int, record: str | None) -> None:
    """Replace the record, or forget it, and forget the metadata."""
    await connection.execute(
        "UPDATE antiphon_completions SET record = $1 WHERE sequence = $2", record, sequence
    )
    await connection.execute("DELETE FROM antiphon_metadata WHERE sequence = $1", sequence)


async def _select_page(
    connection: Connection, project: str, query: StoredQuery, page_bytes: int
) -> StoredPage | None:
    place: Any = None
    if query.after is not None:
        place = await connection.fetchrow(
            "SELECT created, sequence FROM antiphon_completions WHERE project = $1 AND id = $2",
            project,
            query.after,
        )
        if place is None:
            return None
    parameters = Parameters("$")
    escaped = tuple((json.dumps(key), json.dumps(value)) for key, value in query.metadata)
    statement = select_page(project, replace(query, metadata=escaped), place, parameters, "antiphon_")
    page: list[StoredCompletion] = []
    size = 0
    async with connection.transaction(readonly=True):
        async for (record,) in connection.cursor(statement, *parameters.values, prefetch=8):
            if len(page) == query.limit or size >= page_bytes:
                return StoredPage(tuple(page), has_more=True)
            page.append(codec.decode(record))
            size += len(record)
    return StoredPage(tuple(page))
