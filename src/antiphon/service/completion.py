"""One completion under way: the engine's events in, the assistant's events out.

A stop string ends a choice here, above the engine, which is then told to stop it. Tokens that the
engine generated beyond the stop string are neither delivered nor counted, so usage does not
depend on how far ahead it was. A choice that called ends in `tool_calls`, except where its budget
cut it off, or where the caller named the function: OpenAI says `stop` there.

Invariant: the events end in exactly one `Completed` or one `Failed`; the engine's generation is
closed and the lease released before either is handed out, or when the events are closed early.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from antiphon.core.errors import AntiphonError, EngineFailed
from antiphon.core.events import (
    AnswerEvent,
    AssistantEvent,
    ChoiceEnded,
    Completed,
    Failed,
    FinishReason,
    ReasoningDelta,
    Usage,
)
from antiphon.core.generation import ChoiceEnd, PromptScores, TokenDelta
from antiphon.core.ports import Generation
from antiphon.service.admission import Lease
from antiphon.service.answer import Answer
from antiphon.service.choice_calls import ChoiceCalls
from antiphon.service.choice_text import ChoiceText
from antiphon.service.verification import Verification
from antiphon.telemetry.traces import NO_SPAN, CompletionSpan


@dataclass(eq=False, kw_only=True)
class Completion(Answer):
    """What continues one prompt."""

    prompt_tokens: int
    texts: tuple[ChoiceText, ...] = field(repr=False)
    calls: tuple[ChoiceCalls, ...] = field(repr=False)
    generation: Generation = field(repr=False)
    lease: Lease = field(repr=False)
    call_reason: FinishReason = "tool_calls"
    """Why a choice ends that called."""
    echo: ChoiceText | None = field(default=None, repr=False)
    """Turns the prompt's tokens into the text that each choice begins with, where they are scored."""
    verification: Verification | None = field(default=None, repr=False)
    """Looks at structured answers before their end is told."""
    span: CompletionSpan = field(default=NO_SPAN, repr=False)
    """What a trace is told of it."""

    def __post_init__(self) -> None:
        """All choices run; nothing is known of the prefix cache yet."""
        self._running = set(range(self.choices))
        self._cached_tokens = 0
        self._reasons: dict[int, FinishReason] = {}
        """Why choices ended, as it was told."""

    async def aclose(self) -> None:
        """Cancel what still runs and give back what was reserved. Idempotent."""
        try:
            await self.generation.aclose()
        finally:
            self.lease.release()
            self.span.close()

    async def run(self) -> AsyncGenerator[AssistantEvent, None]:
        """The events; `events` is this plus a close that works before the start."""
        try:
            async for event in self.generation:
                if isinstance(event, PromptScores):
                    for answer in self._echoed(event):
                        yield answer
                    continue
                answers = self._answers(event)
                if self.verification is not None:
                    await self.verification.listen(answers, cut=self.texts[event.choice].stopped)
                for answer in answers:
                    yield answer
                if not self._running:
                    break
            ending = self._told(self._ending())
        except AntiphonError as error:
            ending = self._told(Failed(error))
        finally:
            await self.aclose()
        yield ending

    def _echoed(self, event: PromptScores) -> list[AnswerEvent]:
        """The next part of the prompt, as the text of every choice."""
        if self.echo is None:
            return []
        tokens = tuple(entry.token_id for entry in event.logprobs)
        deltas = [self.echo.push(TokenDelta(0, tokens, event.logprobs), 0)]
        if self.echo.tokens == self.prompt_tokens:
            deltas.append(self.echo.flush(0))
        return [replace(delta, choice=choice) for delta in deltas if delta for choice in range(self.choices)]

    def _answers(self, event: TokenDelta | ChoiceEnd) -> list[AnswerEvent]:
        """What one engine event means.

        Raises:
            EngineFailed: the engine let go of its constraint.
        """
        choice = event.choice
        self._cached_tokens = max(self._cached_tokens, event.cached_tokens)
        text = self.texts[choice]
        reason: FinishReason | None = None
        if isinstance(event, ChoiceEnd):
            delta = text.flush(choice)
            reason = "stop" if text.stopped else event.reason
        else:
            delta = text.push(event, choice)
            if text.stopped:
                self.generation.stop(choice)
                reason = "stop"
        thought = text.take_reasoning()
        answers: list[AnswerEvent] = [ReasoningDelta(choice, thought)] if thought else []
        answers += [] if delta is None else [delta]
        calls = self.calls[choice]
        answers += calls.push(text.take_call(), choice)
        if reason == "stop" and calls.begun:
            reason = self.call_reason
        if reason is not None:
            self._running.remove(choice)
            self._reasons[choice] = reason
            answers.append(ChoiceEnded(choice, reason))
        return answers

    def _told(self, ending: Completed | Failed) -> Completed | Failed:
        """The same, after the trace was told of it."""
        self.span.end(ending, self.id, [self._reasons[choice] for choice in sorted(self._reasons)])
        return ending

    def _ending(self) -> Completed | Failed:
        if self._running:
            return Failed(EngineFailed())
        generated = sum(text.tokens for text in self.texts)
        thought = sum(text.reasoning_tokens for text in self.texts)
        return Completed(Usage(self.prompt_tokens, generated, self._cached_tokens, thought))
