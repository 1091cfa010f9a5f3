"""Use cases of stored completions: store one as it is generated; find, relabel and delete it later.

Everything is within a project. What another project has is treated exactly like what never was.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from antiphon.core.errors import StoredNotFound
from antiphon.core.messages import ChatRequest
from antiphon.core.ports import CompletionStore
from antiphon.core.stored import Keeping, StoredCompletion, StoredPage, StoredQuery
from antiphon.service.answer import Answer
from antiphon.service.completions import Completions
from antiphon.service.recording import Recording

T = TypeVar("T")


class StoredCompletions:
    """The stored completions of all projects."""

    def __init__(self, store: CompletionStore, collection: str = "") -> None:
        """Keep them in this store; what is in another collection of it is never found here."""
        self._store = store
        self._collection = collection

    def apart(self, collection: str) -> "StoredCompletions":
        """The same store's completions of another API, kept apart as those of another project are."""
        return StoredCompletions(self._store, collection)

    async def open(self, completions: Completions, request: ChatRequest, keeping: Keeping) -> Answer:
        """`completions.open`, for a completion that is stored when it ends.

        Raises:
            StoreUnavailable: it could not be stored; nothing was generated.
        """
        await self._store.check()
        completion = await completions.open(request, keeping.project)
        keeping = replace(keeping, project=self._scope(keeping.project))
        completion.recording = Recording(self._store, _blank(completion, keeping))
        return completion

    async def get(self, project: str, id: str) -> StoredCompletion:
        """One completion.

        Raises:
            StoredNotFound: the project has none of this id.
            StoreUnavailable: the store cannot be read.
        """
        return _found(await self._store.get(self._scope(project), id), id)

    async def list(self, project: str, query: StoredQuery) -> StoredPage:
        """A page of completions.

        Raises:
            StoredNotFound: the project never had the one to go on behind.
            StoreUnavailable: the store cannot be read.
        """
        return _found(await self._store.list(self._scope(project), query), query.after or "")

    async def set_metadata(self, project: str, id: str, metadata: Mapping[str, str]) -> StoredCompletion:
        """Replace all metadata; the completion as it is now.

        Raises:
            StoredNotFound: the project has none of this id.
            StoreUnavailable: the store cannot be written.
        """
        return _found(await self._store.set_metadata(self._scope(project), id, metadata), id)

    async def delete(self, project: str, id: str) -> None:
        """Forget a completion.

        Raises:
            StoredNotFound: the project has none of this id.
            StoreUnavailable: the store cannot be written.
        """
        if not await self._store.delete(self._scope(project), id):
            raise StoredNotFound(id)

    def _scope(self, project: str) -> str:
        return f"{project}/{self._collection}" if self._collection else project


def _blank(completion: Answer, keeping: Keeping) -> StoredCompletion:
    """What is known before the first event."""
    return StoredCompletion(
        id=completion.id,
        created=completion.created,
        model=completion.model,
        fingerprint=completion.fingerprint,
        choices=completion.choices,
        seed=completion.seed,
        keeping=keeping,
        answer=(),
    )


def _found(value: T | None, id: str) -> T:
    if value is None:
        raise StoredNotFound(id)
    return value
