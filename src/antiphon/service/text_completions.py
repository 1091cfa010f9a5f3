"""The use case "continue these texts": prompts as they are, without a chat template.

Several prompts are answered as one: each is a generation of its own, their choices are numbered
through, and their usage is summed. Everything else is as with conversations.

Invariant: either all prompts of a request are under way, or none is.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from antiphon.core.errors import InternalError
from antiphon.core.events import (
    AssistantEvent,
    Completed,
    Failed,
    TextDelta,
    Usage,
)
from antiphon.core.messages import Prompt, TextRequest
from antiphon.service.admission import Admission, Lease
from antiphon.service.answer import Answer
from antiphon.service.choice_text import ChoiceText, SpelledTokenizer, TokenScorer
from antiphon.service.completion import Completion
from antiphon.service.generations import Generations, ModelParts, Prompted
from antiphon.service.prompts import Prompts
from antiphon.service.structures import Structures
from antiphon.telemetry.metrics import ModelMetrics
from antiphon.text.stop import StopStrings

logger = logging.getLogger(__name__)

_AHEAD = 64
"""Events that wait for whoever reads a joined answer; beyond it the prompts wait."""


class TextCompletions:
    """Continues texts. One for each model."""

    def __init__(
        self,
        parts: ModelParts,
        admission: Admission,
        metrics: ModelMetrics | None = None,
        *,
        openai_strict_schemas: bool = False,
    ) -> None:
        """Answer with `parts`, within the limits of `admission`."""
        self._parts = parts
        self._admission = admission
        self._generations = Generations(parts, metrics)
        self._structures = Structures(parts.engine, subset_only=openai_strict_schemas)
        self._prompts = Prompts(parts)
        self._tokenizer = parts.tokenizer
        self._spelling = TokenScorer(parts.tokenizer, controls_are_text=True)

    @property
    def at_hand(self) -> bool:
        """A request now would not wait for its model."""
        return self._parts.at_hand

    async def open(self, request: TextRequest, project: str = "") -> Answer:
        """Everything that can be refused is refused here; the model has not run when this returns.

        The answer must be closed: iterate its `events` under `contextlib.aclosing`.

        Raises:
            ContextLengthExceeded: a prompt leaves no room for an answer.
            SchemaRefused: a strict schema cannot be held.
            InvalidValue: a pattern cannot be held.
            Overloaded: no room now.
            EngineUnavailable: the engine is starting or down, or the model cannot be loaded.
        """
        began = time.monotonic()
        lease = self._admission.admit(request.choices * len(request.prompts))
        try:
            async with self._parts.held():
                prompted = await self._prompted(request, project, began)
                lease.add_prompt(sum(len(each.ids) for each in prompted))
                return await self._begin(request, prompted, lease)
        except BaseException:
            lease.release()
            raise

    async def _prompted(self, request: TextRequest, project: str, began: float) -> list[Prompted]:
        structure = await self._structures.of_answer(request.response_format)
        prompted = []
        for prompt in request.prompts:
            ids = await self._prompts.of_text(prompt) or self._prompts.document_border
            self._generations.room(len(ids), request.max_tokens)
            echo = self._scored_echo(request, prompt)
            prompted.append(
                Prompted(
                    request.model, ids, project, began, structure, operation="text_completion", echo=echo
                )
            )
        return prompted

    def _scored_echo(self, request: TextRequest, prompt: Prompt) -> ChoiceText | None:
        """What spells the prompt's tokens; those that a text was given by us say nothing of it."""
        if not request.echo or request.top_logprobs is None:
            return None
        if isinstance(prompt, str):
            return ChoiceText(self._tokenizer, self._generations.scorer, StopStrings(()), 0)
        spelled = SpelledTokenizer(self._tokenizer, self._tokenizer.special_tokens)
        return ChoiceText(spelled, self._spelling, StopStrings(()), 0)

    async def _begin(self, request: TextRequest, prompted: Sequence[Prompted], lease: Lease) -> Answer:
        leases = lease.split([len(each.ids) for each in prompted])
        begun: list[Completion] = []
        try:
            for each, share in zip(prompted, leases, strict=True):
                begun.append(self._generations.begin(request, each, share))
        except BaseException:
            for completion in begun:
                await completion.aclose()
            for share in leases[len(begun) :]:
                share.release()
            raise
        return _joined(begun, self._echoes(request))

    def _echoes(self, request: TextRequest) -> tuple[str, ...]:
        """The prompts' texts, where the engine does not tell them token by token."""
        if not request.echo or request.top_logprobs is not None:
            return ()
        spelled = self._generations.scorer.text
        return tuple(prompt if isinstance(prompt, str) else spelled(prompt) for prompt in request.prompts)


def _joined(parts: Sequence[Completion], echoes: tuple[str, ...]) -> "JoinedAnswer":
    first = parts[0]
    return JoinedAnswer(
        id=first.id,
        created=first.created,
        model=first.model,
        fingerprint=first.fingerprint,
        choices=sum(part.choices for part in parts),
        seed=first.seed,
        tier=first.tier,
        parts=tuple(parts),
        echoes=echoes,
    )


@dataclass(eq=False, kw_only=True)
class JoinedAnswer(Answer):
    """Completions side by side as one answer; the first failure is the failure of all."""

    parts: tuple[Completion, ...] = field(repr=False)
    echoes: tuple[str, ...] = field(default=(), repr=False)
    """What each part's choices begin with, where they do."""

    async def aclose(self) -> None:
        """Cancel what still runs and give back what was reserved. Idempotent."""
        for part in self.parts:
            await part.aclose()

    async def run(self) -> AsyncGenerator[AssistantEvent, None]:
        """The events of all parts as they come, then the sum of their usages."""
        heard: asyncio.Queue[AssistantEvent] = asyncio.Queue(_AHEAD)
        first, tasks = 0, list[asyncio.Task[None]]()
        usages: list[Usage] = []
        try:
            for echo in self._echoed():
                yield echo
            for part in self.parts:
                tasks.append(asyncio.create_task(_listen(part, first, heard)))
                first += part.choices
            while len(usages) < len(self.parts):
                event = await heard.get()
                if isinstance(event, Completed):
                    usages.append(event.usage)
                    continue
                if isinstance(event, Failed):
                    break
                yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.aclose()
        yield _sum(usages) if len(usages) == len(self.parts) else event

    def _echoed(self) -> list[TextDelta]:
        """Every choice's own prompt; all parts have equally many choices."""
        each = self.choices // len(self.parts)
        return [TextDelta(choice, self.echoes[choice // each]) for choice in range(len(self.echoes) * each)]


async def _listen(part: Completion, first: int, heard: asyncio.Queue[AssistantEvent]) -> None:
    """Pass on a part's events, its choices numbered from `first`."""
    try:
        async with aclosing(part.events()) as events:
            async for event in events:
                if not isinstance(event, Completed | Failed):
                    event = replace(event, choice=event.choice + first)
                await heard.put(event)
    except Exception:  # A bug in one part must end the whole: nobody else would hear of it.
        logger.exception("a prompt's events failed")
        await heard.put(Failed(InternalError()))


def _sum(usages: Sequence[Usage]) -> Completed:
    return Completed(
        Usage(
            sum(usage.prompt_tokens for usage in usages),
            sum(usage.completion_tokens for usage in usages),
            sum(usage.cached_tokens for usage in usages),
        )
    )
