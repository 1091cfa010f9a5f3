"""The fake engine itself: scripts in, engine events out.

A generation is driven by whoever iterates it; there is no task and no thread. Its choices take
turns, one piece each. Nothing here depends on time except the delays that a script asks for.

Invariant: whatever a script says, the engine's promises hold: limits, ending tokens, one end per
choice, nothing after an end, a stop or a close.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator

from antiphon.core.errors import EngineFailed, EngineUnavailable, SchemaRefused
from antiphon.core.generation import (
    ChoiceEnd,
    Constraint,
    EndReason,
    EngineEvent,
    EngineFeature,
    EngineStats,
    GenerationRequest,
    ModelInfo,
    PromptScores,
    TokenDelta,
    TokenLogprob,
)
from antiphon.engine.backends.fake.held_answer import check_constraint
from antiphon.engine.backends.fake.language import EOS_TOKEN_IDS, VOCAB_SIZE
from antiphon.engine.backends.fake.script import Script, ScriptSource, improvise
from antiphon.engine.throughput import Throughput

REMEMBERED = 1000
"""How many ids of cancelled requests are kept."""
PROMPT_PIECE = 64
"""Prompt tokens that are scored at a time."""


class FakeEngine:
    """Implements `core.ports.Engine` without a model."""

    def __init__(
        self,
        script: ScriptSource = improvise,
        *,
        model: str = "fake",
        context_length: int = 8192,
        lacks: tuple[EngineFeature, ...] = (),
    ) -> None:
        """Say what `script` tells for each (request, choice index); `lacks` is only told."""
        self._script = script
        self._info = ModelInfo(model, context_length, VOCAB_SIZE, EOS_TOKEN_IDS, "fp_fake1", lacks)
        self._started = False
        self._running: set[FakeGeneration] = set()
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self.generated_tokens = 0
        self.steps = 0
        self._throughput = Throughput(time.monotonic())
        self.cancelled: deque[str] = deque(maxlen=REMEMBERED)
        """Ids of the requests that were closed before their end, oldest first."""

    @property
    def info(self) -> ModelInfo:
        """Facts of the model that is not there."""
        return self._info

    async def start(self) -> None:
        """Be ready at once; also after `aclose`."""
        self._started = True

    def generate(self, request: GenerationRequest) -> "FakeGeneration":
        """Begin a request.

        Raises:
            EngineUnavailable: not started, closed, or the script says so.
            Overloaded: the script says so.
        """
        self._require_started()
        scripts = [self._script_for(request, choice) for choice in range(request.choices)]
        for script in scripts:
            if script.refusal is not None:
                raise script.refusal
        generation = FakeGeneration(self, request, scripts)
        self._running.add(generation)
        self._prompt_tokens += len(request.prompt)
        self._cached_tokens += max(script.cached_tokens for script in scripts)
        return generation

    async def check(self, constraint: Constraint) -> None:
        """Prove that the fake engine can answer under this constraint.

        Raises:
            SchemaRefused: it cannot.
            EngineUnavailable: not started, or closed.
        """
        self._require_started()
        check_constraint(constraint)

    def stats(self) -> EngineStats:
        """Counts since the engine was made."""
        return EngineStats(
            ready=self._started,
            running=len(self._running),
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            generated_tokens=self.generated_tokens,
            steps=self.steps,
            tokens_per_s=self._throughput.per_second(time.monotonic(), self.generated_tokens),
        )

    async def aclose(self) -> None:
        """Stop; what still runs fails."""
        self._started = False
        for generation in list(self._running):
            generation.fail()

    def leave(self, generation: "FakeGeneration", *, cancelled: bool) -> None:
        """A generation is over."""
        self._running.discard(generation)
        if cancelled:
            self.cancelled.append(generation.request.id)

    def _require_started(self) -> None:
        if not self._started:
            raise EngineUnavailable()

    def _script_for(self, request: GenerationRequest, choice: int) -> Script:
        try:
            return self._script(request, choice)
        except SchemaRefused:
            # Nobody asked `check` first. The port lets a request fail only later, and as a whole.
            return Script(fail_after=0)


class FakeGeneration:
    """Implements `core.ports.Generation`."""

    def __init__(self, engine: FakeEngine, request: GenerationRequest, scripts: list[Script]) -> None:
        """Made by `FakeEngine.generate` only."""
        self.request = request
        self._engine = engine
        self._turns = deque(_Choice(request, choice, script) for choice, script in enumerate(scripts))
        """Choices that still run, the next one to speak first."""
        self._ready: deque[EngineEvent] = deque(_prompt_scores(request))
        self._over = asyncio.Event()
        self._failed = False

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        return self

    async def __anext__(self) -> EngineEvent:
        while not self._ready:
            if self._failed:
                self._failed = False
                raise EngineFailed()
            if self._over.is_set():
                raise StopAsyncIteration
            await self._step()
        return self._ready.popleft()

    def stop(self, choice: int) -> None:
        """Generate no more for this choice."""
        self._turns = deque(turn for turn in self._turns if turn.index != choice)
        self._ready = deque(event for event in self._ready if event.choice != choice)
        self._leave_when_done()

    async def aclose(self) -> None:
        """Cancel what still runs."""
        self._ready.clear()
        self._leave(cancelled=True)

    def fail(self) -> None:
        """Raise `EngineFailed` to whoever iterates."""
        self._ready.clear()
        self._failed = True
        self._leave(cancelled=False)

    async def _step(self) -> None:
        """Let the next choice say its next piece."""
        choice = self._turns[0]
        await self._wait(choice.script.delay_s)
        if self._over.is_set() or self._turns[0] is not choice:
            return
        self._engine.steps += 1
        if choice.about_to_fail:
            self.fail()
            return
        before = choice.generated
        events = choice.speak()
        self._engine.generated_tokens += choice.generated - before
        self._ready.extend(events)
        self._turns.rotate(-1)
        if choice.ended:
            self._turns.remove(choice)
            self._leave_when_done()

    async def _wait(self, delay_s: float) -> None:
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(delay_s):
                await self._over.wait()
        except TimeoutError:
            return

    def _leave_when_done(self) -> None:
        if not self._turns:
            self._leave(cancelled=False)

    def _leave(self, *, cancelled: bool) -> None:
        if not self._over.is_set():
            self._over.set()
            self._engine.leave(self, cancelled=cancelled)


class _Choice:
    """One choice: its script, held to the limits of its request."""

    def __init__(self, request: GenerationRequest, index: int, script: Script) -> None:
        self.index = index
        self.script = script
        self.generated = 0
        self.ended = False
        self._request = request
        self._pieces: Iterator[tuple[int, ...]] = iter(script.pieces)
        self._spoken = 0
        eos = () if request.ignore_eos else EOS_TOKEN_IDS
        self._ending = frozenset((*request.stop_token_ids, *eos))
        self._never = frozenset(EOS_TOKEN_IDS)

    @property
    def about_to_fail(self) -> bool:
        return self._spoken == self.script.fail_after

    def speak(self) -> list[EngineEvent]:
        """The events of the next piece; empty when all of it was masked."""
        if self._request.max_tokens == 0:
            return [self._end("length")]
        piece = next(self._pieces, None)
        self._spoken += 1
        if piece is None:
            return [self._end(self.script.end)]
        tokens: list[int] = []
        reason: EndReason | None = None
        for token in piece:
            if token in self._ending and self.generated >= self._request.min_tokens:
                reason = "stop"
            elif token not in self._ending and token not in self._never:
                tokens.append(token)
                self.generated += 1
                reason = "length" if self.generated == self._request.max_tokens else None
            if reason is not None:
                break
        events: list[EngineEvent] = [self._delta(tuple(tokens))] if tokens else []
        return events if reason is None else [*events, self._end(reason)]

    def _delta(self, tokens: tuple[int, ...]) -> TokenDelta:
        count = self._request.sampling.top_logprobs
        scores = () if count is None else tuple(_made_up_logprob(token, count) for token in tokens)
        return TokenDelta(self.index, tokens, scores, self.script.cached_tokens)

    def _end(self, reason: EndReason) -> ChoiceEnd:
        self.ended = True
        return ChoiceEnd(self.index, reason, self.script.cached_tokens)


def _prompt_scores(request: GenerationRequest) -> Iterator[PromptScores]:
    """The prompt in pieces, as engines with a model compute it."""
    if request.prompt_logprobs is None:
        return
    first, *others = request.prompt
    scores = [TokenLogprob(first, None)]
    scores += [_made_up_logprob(token, request.prompt_logprobs) for token in others]
    for start in range(0, len(scores), PROMPT_PIECE):
        yield PromptScores(tuple(scores[start : start + PROMPT_PIECE]))


def _made_up_logprob(token: int, count: int) -> TokenLogprob:
    """The drawn token at 78 %, the ids after it at 8 %, 5 %, 3 %, …: together below 1."""
    best = ((token, -0.25), *(((token + i) % VOCAB_SIZE, -2.0 - 0.5 * i) for i in range(1, count)))
    return TokenLogprob(token, -0.25, best[:count])
