"""Stores a completion when it ends, from the very events that its caller is given.

Invariant: the caller is told of the end only after the completion is committed; when that fails it
is told of the failure instead. A completion that fails or is cancelled is not stored.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from antiphon.core.errors import StoreUnavailable
from antiphon.core.events import AnswerEvent, AssistantEvent, Completed, Failed
from antiphon.core.ports import CompletionStore
from antiphon.core.stored import StoredCompletion, join_deltas


class Recording:
    """Listens to one completion."""

    def __init__(self, store: CompletionStore, blank: StoredCompletion) -> None:
        """Store into `store` what `blank` becomes with its answer filled in."""
        self._store = store
        self._blank = blank

    async def listen(
        self, events: AsyncGenerator[AssistantEvent, None]
    ) -> AsyncGenerator[AssistantEvent, None]:
        """The same events, with the storing between the last one and its being told."""
        heard: list[AnswerEvent] = []
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Failed):
                    yield event
                    return
                heard.append(event)
                yield await self._stored(heard, event) if isinstance(event, Completed) else event

    async def _stored(self, heard: Sequence[AnswerEvent], ending: Completed) -> Completed | Failed:
        """Commit what was heard; what the caller is told then."""
        try:
            await self._store.add(replace(self._blank, answer=join_deltas(heard)))
        except StoreUnavailable as error:
            return Failed(error)
        return ending
