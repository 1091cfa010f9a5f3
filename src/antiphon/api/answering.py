"""What every API that answers conversations answers with.

Invariant: an answer that is to be kept is opened with its store, or not at all.
"""

from dataclasses import dataclass

from antiphon.api.lifecycle import Lifecycle
from antiphon.api.options import ApiOptions
from antiphon.api.streaming import patience
from antiphon.core.messages import ChatRequest
from antiphon.core.stored import Keeping
from antiphon.service.answer import Answer
from antiphon.service.completions import Completions
from antiphon.service.models import ModelRegistry, PerModel
from antiphon.service.stored import StoredCompletions


@dataclass(frozen=True, slots=True)
class Answering:
    """The services behind the routes of one API."""

    completions: PerModel[Completions]
    stored: StoredCompletions | None
    """What the API keeps. None: nothing, and who asked for it is told."""
    models: ModelRegistry
    lifecycle: Lifecycle
    options: ApiOptions

    async def open(self, request: ChatRequest, project: str, keeping: Keeping | None) -> Answer:
        """An answer to this project's request; without `keeping` it is not stored.

        Raises:
            AntiphonError: as `Completions.open` and `StoredCompletions.open` do.
        """
        completions = self.completions.of(request.model)
        if keeping is None or self.stored is None:
            return await completions.open(request, project)
        return await self.stored.open(completions, request, keeping)

    def patience(self, model: str) -> float | None:
        """How long a stream waits for an answer of this model to open; see `streaming.patience`."""
        return patience(self.completions.of(model).at_hand, self.options)
