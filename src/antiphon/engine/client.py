"""The engine as the API process sees it: a child process behind the `Engine` port.

Hands requests to the engine process and what it produces to the generations that wait for it, and
watches it: when it dies or stops making progress, every running generation fails and another
process is started.

Invariant: each generation ends in exactly one of: all its choices ended, one error raised, or closed
by its owner.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from antiphon.core.errors import (
    AntiphonError,
    EngineFailed,
    EngineUnavailable,
    Overloaded,
    SchemaRefused,
)
from antiphon.core.generation import (
    ChoiceEnd,
    Constraint,
    EngineEvent,
    EnginePhase,
    EngineStats,
    GenerationRequest,
    ModelInfo,
    PromptScores,
    TokenDelta,
)
from antiphon.engine import frames
from antiphon.engine.probing import ConstraintProber
from antiphon.engine.process import EngineProcess, EngineProgram
from antiphon.engine.trials import ConstraintTrials

_log = logging.getLogger(__name__)

_FIRST_RESTART_DELAY_S = 0.2
_MAX_RESTART_DELAY_S = 30.0
_STABLE_AFTER_S = 60.0
"""After running this long a crash counts as the first again."""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How long the engine process may be silent. It speaks after every step, and every second when idle."""

    not_ready_after_s: float = 8.0
    """Then the server says that it is not ready."""
    kill_after_s: float = 60.0
    """Then the process is killed and another started."""


class GenerationOwner(Protocol):
    """What a generation needs of the client that feeds it."""

    def send(self, message: frames.Message) -> None:
        """Pass on that a choice is stopped."""

    def forget(self, key: str) -> None:
        """The generation has ended by itself."""

    def abandon(self, key: str) -> None:
        """Nobody wants more of it."""


class EngineGeneration:
    """One request on its way; see `ports.Generation`. The client feeds it by `deliver` and `fail`."""

    def __init__(self, client: GenerationOwner, request: GenerationRequest) -> None:
        self._client = client
        self._key = request.id
        self._open = set(range(request.choices))
        self._stopped: set[int] = set()
        self._events: asyncio.Queue[EngineEvent | AntiphonError | None] = asyncio.Queue()
        """None: nothing follows."""

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        return self

    async def __anext__(self) -> EngineEvent:
        while True:
            event = await self._events.get()
            if event is None:
                self._events.put_nowait(None)  # for whoever asks again
                raise StopAsyncIteration
            if isinstance(event, AntiphonError):
                self._events.put_nowait(None)
                raise event
            if event.choice not in self._stopped:
                return event

    def deliver(self, produced: frames.Produced) -> None:
        """Queue what a step brought, but no tokens of a choice that was stopped meanwhile."""
        if produced.prompt_scores:
            self._events.put_nowait(PromptScores(produced.prompt_scores))
        if produced.choice not in self._open:
            return
        if produced.token_ids:
            self._events.put_nowait(
                TokenDelta(produced.choice, produced.token_ids, produced.logprobs, produced.cached_tokens)
            )
        if produced.end is not None:
            self._open.discard(produced.choice)
            self._events.put_nowait(ChoiceEnd(produced.choice, produced.end, produced.cached_tokens))
        if not self._open:
            self._client.forget(self._key)
            self._events.put_nowait(None)

    def fail(self, error: AntiphonError) -> None:
        """Nothing comes after this."""
        self._events.put_nowait(error)

    def stop(self, choice: int) -> None:
        """See `Generation.stop`."""
        self._stopped.add(choice)
        if choice not in self._open:
            return
        self._open.discard(choice)
        if self._open:
            self._client.send(frames.StopChoice(self._key, choice))
        else:
            self._abandon()

    async def aclose(self) -> None:
        """See `Generation.aclose`."""
        self._open.clear()
        while not self._events.empty():
            self._events.get_nowait()
        self._abandon()

    def _abandon(self) -> None:
        self._client.abandon(self._key)
        self._events.put_nowait(None)


class EngineClient:
    """Implements `ports.Engine` by a supervised child process."""

    def __init__(
        self,
        program: EngineProgram,
        watch: WatchOptions = WatchOptions(),
        on_phases: Callable[[Sequence[EnginePhase]], None] | None = None,
    ) -> None:
        self._program = program
        self._on_phases = on_phases
        self._watch = watch
        self._generations: dict[str, EngineGeneration] = {}
        self._prober = ConstraintProber()
        self._trials = ConstraintTrials(self._ask_engine)
        self._process: EngineProcess | None = None
        self._info: ModelInfo | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._stats = EngineStats()
        self._last_sign = time.monotonic()
        self._restarts = 0

    @property
    def info(self) -> ModelInfo:
        """Facts of the loaded model.

        Raises:
            EngineUnavailable: `start` has not returned yet.
        """
        if self._info is None:
            raise EngineUnavailable
        return self._info

    @property
    def pid(self) -> int | None:
        """The engine process's number; None while there is none."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process and wait until the model is loaded; see `Engine.start`."""
        process = await self._launch()
        self._supervisor = asyncio.create_task(self._supervise(process), name="engine supervisor")

    def generate(self, request: GenerationRequest) -> EngineGeneration:
        """Queue a request; see `Engine.generate`."""
        if self._process is None or not self._stats.ready:
            raise EngineUnavailable
        generation = EngineGeneration(self, request)
        self._generations[request.id] = generation
        self.send(frames.Submit(request))
        return generation

    async def check(self, constraint: Constraint) -> None:
        """Have the prober try a constraint; see `Engine.check`."""
        if self._process is None:
            raise EngineUnavailable
        if "constraints" in self.info.lacks:
            raise SchemaRefused("", "the engine of this server holds no schemas or grammars.")
        await self._prober.check(constraint)
        if self._program.tries_constraints:
            await self._trials.check(constraint)

    def stats(self) -> EngineStats:
        """The newest figures; not ready while the process is down or silent for too long."""
        age = time.monotonic() - self._last_sign
        awake = self._process is not None and age < self._watch.not_ready_after_s
        ready = awake and self._stats.ready
        return replace(self._stats, ready=ready, step_age_s=age, restarts=self._restarts)

    async def aclose(self) -> None:
        """Stop the process; see `Engine.aclose`."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        await self._prober.aclose()

    def send(self, message: frames.Message) -> None:
        """Tell the process, if there is one: without one there is nothing to stop or cancel."""
        if self._process is not None:
            self._process.send(message)

    def forget(self, key: str) -> None:
        """A generation has ended by itself."""
        self._generations.pop(key, None)

    def abandon(self, key: str) -> None:
        """A generation's owner wants no more of it."""
        if self._generations.pop(key, None) is not None:
            self.send(frames.Cancel(key))

    def _ask_engine(self, question: frames.Check) -> bool:
        self.send(question)
        return self._process is not None

    async def _launch(self) -> EngineProcess:
        process, self._info = await EngineProcess.launch(self._program)
        try:
            await self._prober.start(_vocabulary(self._program, self._info))
        except BaseException:
            await process.kill()
            raise
        self._process = process
        self._last_sign = time.monotonic()
        self._stats = EngineStats(ready=True)
        self._trials.forget()
        return self._process

    async def _supervise(self, process: EngineProcess) -> None:
        """Serve the process's messages; when it is gone, start another, until cancelled."""
        delay = _FIRST_RESTART_DELAY_S
        while True:
            began = time.monotonic()
            try:
                await self._serve(process)
            finally:
                self._process = None
                self._fail_everybody()
                self._trials.give_up()
                await process.kill()
            if time.monotonic() - began > _STABLE_AFTER_S:
                delay = _FIRST_RESTART_DELAY_S
            process = await self._relaunch(delay)
            delay = min(2 * delay, _MAX_RESTART_DELAY_S)

    async def _relaunch(self, delay: float) -> EngineProcess:
        while True:
            self._restarts += 1
            _log.error(
                "model %s: the engine process has ended; starting another in %.1f s",
                self._program.model_id,
                delay,
            )
            await asyncio.sleep(delay)
            with contextlib.suppress(EngineUnavailable):
                return await self._launch()
            delay = min(2 * delay, _MAX_RESTART_DELAY_S)

    async def _serve(self, process: EngineProcess) -> None:
        """Dispatch messages until the process ends, breaks the framing or is silent for too long."""
        while True:
            try:
                message = await asyncio.wait_for(process.receive(), self._watch.kill_after_s)
            except EOFError:
                return
            except TimeoutError:
                _log.error(
                    "model %s: the engine made no progress for %.0f s",
                    self._program.model_id,
                    self._watch.kill_after_s,
                )
                return
            self._last_sign = time.monotonic()
            if isinstance(message, frames.Stepped):
                self._distribute(message)
            elif isinstance(message, frames.Checked):
                self._trials.take(message)

    def _distribute(self, step: frames.Stepped) -> None:
        self._stats = step.stats
        if step.phases and self._on_phases is not None:
            self._on_phases(step.phases)
        for produced in step.produced:
            generation = self._generations.get(produced.key)
            if generation is not None:
                generation.deliver(produced)
        for key in step.failed:
            self._fail(key, EngineFailed())
        for key in step.refused:
            self._fail(key, Overloaded())

    def _fail(self, key: str, error: AntiphonError) -> None:
        generation = self._generations.pop(key, None)
        if generation is not None:
            generation.fail(error)

    def _fail_everybody(self) -> None:
        for key in list(self._generations):
            self._fail(key, EngineFailed())


def _vocabulary(program: EngineProgram, info: ModelInfo) -> frames.Vocabulary:
    return frames.Vocabulary(str(program.folder), info.vocab_size, info.eos_token_ids)
