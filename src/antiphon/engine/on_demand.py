"""An engine that is there while it is wanted: behind the `Engine` port, another one that comes and goes.

`held` waits until the model is loaded and keeps it while its block runs; so does every generation until
it is closed. Who is loaded when is decided by `residency`. A model that could not be loaded refuses
requests at once for a while, instead of trying again for each.

Invariant: the engine inside is closed only when nobody holds it; whoever waits gets it, or an error
within the bound of the options.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, Literal

from antiphon.core.errors import EngineUnavailable, ModelNotLoaded
from antiphon.core.generation import Constraint, EngineEvent, EngineStats, GenerationRequest, ModelInfo
from antiphon.core.ports import Engine, Generation
from antiphon.engine.residency import Residency

_log = logging.getLogger(__name__)

_FIRST_RETRY_S: Final = 1.0
_MAX_RETRY_S: Final = 30.0


class OnDemandEngine:
    """Implements `ports.Engine` and `residency.Resident` around engines that `make` makes."""

    def __init__(self, info: ModelInfo, size: int, make: Callable[[], Engine], residency: Residency) -> None:
        """Nothing is loaded yet; `info` is what is known of the model until it was, `size` in bytes."""
        self.id = info.id
        self.size = size
        self.leaving = False
        self.uses = 0
        self.used_at = time.monotonic()
        self._info = info
        self._make = make
        self._residency = residency
        self._engine: Engine | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._bringing: asyncio.Task[None] | None = None
        self._loads = 0
        self._load_s = 0.0
        self._failures = 0
        self._retry_at = 0.0
        self._closing: asyncio.Task[None] | None = None
        residency.add(self)

    @property
    def info(self) -> ModelInfo:
        """Facts of the model; until it was loaded once, without fingerprint and bounds of the KV cache."""
        return self._info

    @property
    def loaded(self) -> bool:
        """The model is in memory."""
        return self._engine is not None

    async def start(self) -> None:
        """Load the model, however long that takes; see `Engine.start`."""
        if self._engine is None:
            await self._brought(None)
            self.release()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Within the block the model is loaded; waits for it.

        Raises:
            ModelNotLoaded: it could not be loaded.
            EngineUnavailable: it was not loaded in time.
        """
        if self._engine is None or self.leaving:
            await self._brought(self._residency.options.wait)
        else:
            self._hold()
        try:
            yield
        finally:
            self.release()

    def generate(self, request: GenerationRequest) -> Generation:
        """Queue a request on a loaded model; see `Engine.generate`."""
        generation = HoldingGeneration(self._loaded_engine().generate(request), self)
        self._hold()
        return generation

    async def check(self, constraint: Constraint) -> None:
        """See `Engine.check`; the model must be loaded."""
        await self._loaded_engine().check(constraint)

    def stats(self) -> EngineStats:
        """The newest figures, and whether the model is there."""
        stats = EngineStats() if self._engine is None else self._engine.stats()
        awaiting = len(self._waiters)
        return replace(stats, state=self._state(), loads=self._loads, load_s=self._load_s, awaiting=awaiting)

    async def aclose(self) -> None:
        """Stop, whoever waits or generates; see `Engine.aclose`."""
        if self._bringing is not None:
            self._bringing.cancel()
            await asyncio.gather(self._bringing, return_exceptions=True)
        self._refuse(EngineUnavailable)
        await self.unload()

    async def load(self) -> None:
        """See `Resident.load`.

        Raises:
            EngineUnavailable: it could not be loaded.
        """
        began = time.monotonic()
        _log.info("model %s: loading", self.id)
        engine = self._make()
        try:
            await engine.start()
        except BaseException:
            await engine.aclose()
            raise
        took = time.monotonic() - began
        _log.info("model %s: loaded in %.1f s", self.id, took)
        self._engine, self._info = engine, engine.info
        self._loads, self._load_s = self._loads + 1, self._load_s + took
        self._failures, self._retry_at = 0, 0.0

    def admit(self) -> None:
        """See `Resident.admit`."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
                self._hold()
        self._waiters.clear()

    async def unload(self) -> None:
        """See `Resident.unload`."""
        if self._engine is not None:
            self._closing = asyncio.create_task(self._engine.aclose())
            self._engine = None
        if self._closing is not None:
            # Whoever waits for it may go away; half an end must not be left behind.
            await asyncio.shield(self._closing)

    def release(self) -> None:
        """One use is over."""
        self.uses -= 1
        self.used_at = time.monotonic()
        if not self.uses:
            self._residency.ease()

    def _state(self) -> Literal["loaded", "leaving", "unloaded", "loading", "failed"]:
        if self._engine is not None:
            return "leaving" if self.leaving else "loaded"
        if self._bringing is not None:
            return "loading"
        return "failed" if time.monotonic() < self._retry_at else "unloaded"

    def _hold(self) -> None:
        self.uses += 1
        self.used_at = time.monotonic()

    def _loaded_engine(self) -> Engine:
        if self._engine is None:
            raise EngineUnavailable
        return self._engine

    async def _brought(self, timeout_s: float | None) -> None:
        """Wait until the model is loaded and held for the caller."""
        left = self._retry_at - time.monotonic()
        if left > 0:
            raise ModelNotLoaded(left, self.id)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        if self._bringing is None:
            self._bringing = asyncio.create_task(self._bring(), name=f"load {self.id}")
        try:
            await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            self._give_up(waiter)
            raise EngineUnavailable from None
        except BaseException:
            self._give_up(waiter)
            raise

    def _give_up(self, waiter: asyncio.Future[None]) -> None:
        """Nobody wants any more what this one waits for, or just got."""
        self._waiters.discard(waiter)
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            self.release()

    async def _bring(self) -> None:
        try:
            await self._residency.bring(self)
        except EngineUnavailable:
            self._note_failure()
        except Exception:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            _log.exception("loading failed")
            self._note_failure()
        finally:
            self._bringing = None

    def _note_failure(self) -> None:
        delay = min(_FIRST_RETRY_S * 2**self._failures, _MAX_RETRY_S)
        self._failures += 1
        self._retry_at = time.monotonic() + delay
        _log.error("model %s: could not be loaded; not tried again for %.0f s", self.id, delay)
        self._refuse(lambda: ModelNotLoaded(max(delay, 1.0), self.id))

    def _refuse(self, error: Callable[[], EngineUnavailable]) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error())
        self._waiters.clear()


class HoldingGeneration:
    """Implements `ports.Generation` around another one; until it is over its model is in use."""

    def __init__(self, generation: Generation, owner: OnDemandEngine) -> None:
        self._generation = generation
        self._events = aiter(generation)
        self._owner: OnDemandEngine | None = owner

    def __aiter__(self) -> AsyncIterator[EngineEvent]:
        return self

    async def __anext__(self) -> EngineEvent:
        return await anext(self._events)

    def stop(self, choice: int) -> None:
        """See `Generation.stop`."""
        self._generation.stop(choice)

    async def aclose(self) -> None:
        """See `Generation.aclose`."""
        try:
            await self._generation.aclose()
        finally:
            owner, self._owner = self._owner, None
            if owner is not None:
                owner.release()
