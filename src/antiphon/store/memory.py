"""Stored completions in memory, for a server that tests clients and leaves nothing behind.

Invariant: at most `capacity` completions; more are refused, none is dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from antiphon.core.errors import StoreUnavailable
from antiphon.core.stored import StoredCompletion, StoredPage, StoredQuery

_EXPIRE_AT_ONCE: Final = 200


@dataclass(slots=True)
class _Row:
    project: str
    place: tuple[int, int]
    """When it was created, then the order in which it was stored."""
    completion: StoredCompletion | None
    """None once it is deleted."""


class MemoryStore:
    """Implements `core.ports.CompletionStore`, except that it ends with the process."""

    def __init__(self, capacity: int = 10_000) -> None:
        """Hold up to so many, those that were deleted included."""
        self._capacity = capacity
        self._rows: dict[str, _Row] = {}
        self._numbers = count()

    async def check(self) -> None:
        """Pass while there is room.

        Raises:
            StoreUnavailable: there is none.
        """
        if len(self._rows) >= self._capacity:
            raise StoreUnavailable()

    async def add(self, completion: StoredCompletion) -> None:
        """Keep a new completion.

        Raises:
            StoreUnavailable: there is no room.
        """
        await self.check()
        place = completion.created, next(self._numbers)
        self._rows[completion.id] = _Row(completion.keeping.project, place, completion)

    async def get(self, project: str, id: str) -> StoredCompletion | None:
        """One completion of the project."""
        row = self._row(project, id)
        return None if row is None else row.completion

    async def list(self, project: str, query: StoredQuery) -> StoredPage | None:
        """A page of them."""
        rows = [row for row in self._rows.values() if row.project == project]
        rows.sort(key=lambda row: row.place, reverse=query.order == "desc")
        if query.after is not None:
            after = self._row(project, query.after)
            if after is None:
                return None
            rows = rows[rows.index(after) + 1 :]
        found = [row.completion for row in rows if row.completion and _matches(row.completion, query)]
        return StoredPage(tuple(found[: query.limit]), len(found) > query.limit)

    async def set_metadata(
        self, project: str, id: str, metadata: Mapping[str, str]
    ) -> StoredCompletion | None:
        """Replace the metadata of one."""
        row = self._row(project, id)
        if row is None or row.completion is None:
            return None
        row.completion = replace(row.completion, keeping=replace(row.completion.keeping, metadata=metadata))
        return row.completion

    async def delete(self, project: str, id: str) -> bool:
        """Forget one."""
        row = self._row(project, id)
        if row is None or row.completion is None:
            return False
        row.completion = None
        return True

    async def expire(self, before: int) -> int:
        """Forget some that are too old."""
        old = [id for id, row in self._rows.items() if row.place[0] < before][:_EXPIRE_AT_ONCE]
        for id in old:
            del self._rows[id]
        return len(old)

    async def aclose(self) -> None:
        """Forget all."""
        self._rows.clear()

    def _row(self, project: str, id: str) -> _Row | None:
        row = self._rows.get(id)
        return row if row is not None and row.project == project else None


def _matches(completion: StoredCompletion, query: StoredQuery) -> bool:
    metadata = completion.keeping.metadata
    return query.model in (None, completion.model) and query.metadata == tuple(
        pair for pair in query.metadata if pair in metadata.items()
    )
