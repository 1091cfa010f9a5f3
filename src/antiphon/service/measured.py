"""A generation that reports how it goes: first token, the gaps after it, tokens, its end.

It changes nothing of what passes through.

Invariant: each one reports one outcome at most, and none before it was iterated or closed.
"""

import time
from collections.abc import AsyncIterator
from typing import Literal

from antiphon.core.errors import AntiphonError
from antiphon.core.generation import ChoiceEnd, EngineEvent, GenerationRequest, PromptScores
from antiphon.core.ports import Generation
from antiphon.telemetry.metrics import ModelMetrics


class MeasuredGeneration:
    """Implements `core.ports.Generation` around another one."""

    def __init__(
        self, generation: Generation, request: GenerationRequest, metrics: ModelMetrics, began: float
    ) -> None:
        """Report what comes of `request`, which was admitted at `began` by `time.monotonic`."""
        self._generation = generation
        self._events = aiter(generation)
        self._metrics = metrics
        self._began = began
        self._spoke_at: dict[int, float] = {}
        """When each choice had its last token."""
        self._open = set(range(request.choices))
        self._over = False
        self._cached_tokens = 0
        metrics.prompt_accepted(len(request.prompt))

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        return self

    async def __anext__(self) -> EngineEvent:
        try:
            event = await anext(self._events)
        except AntiphonError:
            self._end("failed")
            raise
        self._note(event)
        return event

    def stop(self, choice: int) -> None:
        """See `Generation.stop`; a choice that is stopped has what it needs."""
        self._ended(choice)
        self._generation.stop(choice)

    async def aclose(self) -> None:
        """See `Generation.aclose`."""
        self._end("cancelled")
        await self._generation.aclose()

    def _note(self, event: EngineEvent) -> None:
        if isinstance(event, PromptScores):
            return
        if event.cached_tokens > self._cached_tokens:
            self._metrics.prompt_cached(event.cached_tokens - self._cached_tokens)
            self._cached_tokens = event.cached_tokens
        if isinstance(event, ChoiceEnd):
            self._ended(event.choice)
            return
        now = time.monotonic()
        if not self._spoke_at:
            self._metrics.first_token(now - self._began)
        elif event.choice in self._spoke_at:
            self._metrics.token_followed(now - self._spoke_at[event.choice])
        self._spoke_at[event.choice] = now
        self._metrics.tokens_generated(len(event.token_ids))

    def _ended(self, choice: int) -> None:
        self._open.discard(choice)
        if not self._open:
            self._end("finished")

    def _end(self, outcome: Literal["finished", "cancelled", "failed"]) -> None:
        if not self._over:
            self._over = True
            self._metrics.completion_ended(outcome)
