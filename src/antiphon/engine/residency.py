"""Which models are in memory: brought when they are asked for, let go for want of room, use or memory.

There is one line for all of them: models are brought in the order in which they were asked for, one at
a time. A model in use is never unloaded. But while another waits for its room it takes no new requests,
which join the line, and leaves when those under way have ended; so a model that is always busy cannot
keep others out. It counts and decides; loading itself is the residents' affair.

Invariant: what is loaded stays within the options, except that a single model is always let in.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from antiphon.engine.memory import available_memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResidencyOptions:
    """What may be loaded at once, and for how long. Sizes are in bytes, times in seconds."""

    max_loaded: int = 0
    """Models; 0: as many as there is memory for."""
    memory: int = 0
    """For all of them together, each by its declared size; 0: no bound."""
    keep_alive: float = 0.0
    """A model that nobody asked for so long is unloaded; 0: never."""
    wait: float = 300.0
    """How long a request waits for its model before it is refused."""
    short_below: int = 256 << 20
    """With less memory available on the machine, models that are not in use are unloaded."""
    look_every: float = 1.0


class Resident(Protocol):
    """A model that may be in memory."""

    id: str
    size: int
    """What it needs when it is loaded and its KV cache is full, in bytes."""
    leaving: bool
    """It takes no new requests, so that another gets its room. Set by `Residency`."""
    uses: int
    """Requests under way."""
    used_at: float
    """When a request last began or ended, by `time.monotonic`."""

    @property
    def loaded(self) -> bool:
        """It is in memory."""

    async def load(self) -> None:
        """Be loaded; those who wait for it get it before this returns."""

    def admit(self) -> None:
        """Let those who wait for it have it; it is loaded."""

    async def unload(self) -> None:
        """Not be loaded, from the call on; the memory is given back when this returns."""


class Residency:
    """Decides which of its residents are in memory. Used from one event loop."""

    def __init__(
        self,
        options: ResidencyOptions = ResidencyOptions(),
        available: Callable[[], int | None] = available_memory,
    ) -> None:
        """Hold none yet. `available` tells the bytes that the machine has left, if it can."""
        self.options = options
        self._available = available
        self._residents: list[Resident] = []
        self._line = asyncio.Lock()
        self._eased = asyncio.Event()

    def add(self, resident: Resident) -> None:
        """Decide about this one too."""
        self._residents.append(resident)

    async def bring(self, resident: Resident) -> None:
        """Load it when its turn has come and there is room.

        Raises:
            EngineUnavailable: it could not be loaded.
        """
        async with self._line:
            if not resident.loaded:
                await self._make_room(resident)
                await resident.load()
            resident.admit()

    def ease(self) -> None:
        """To be called when a resident is not in use any more."""
        self._eased.set()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Let go of models that nobody uses, until the block ends."""
        watching = asyncio.create_task(self._watch(), name="residency")
        try:
            yield
        finally:
            watching.cancel()

    async def _make_room(self, newcomer: Resident) -> None:
        try:
            while (loaded := self._loaded()) and not self._fits(newcomer, loaded):
                idle = [resident for resident in loaded if not resident.uses]
                oldest = min(idle or loaded, key=lambda resident: resident.used_at)
                if idle:
                    await self._unload(oldest, f"room for {newcomer.id}")
                else:
                    oldest.leaving = True
                    self._eased.clear()
                    await self._eased.wait()
        finally:
            for resident in self._residents:
                resident.leaving = False

    def _fits(self, newcomer: Resident, loaded: Sequence[Resident]) -> bool:
        options = self.options
        size = newcomer.size + sum(resident.size for resident in loaded)
        return (not options.max_loaded or len(loaded) < options.max_loaded) and (
            not options.memory or size <= options.memory
        )

    def _loaded(self) -> list[Resident]:
        return [resident for resident in self._residents if resident.loaded]

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.options.look_every)
            async with self._line:
                await self.let_go()

    async def let_go(self) -> None:
        """Unload what was not used for long, and where memory is short what was not used for longest."""
        now, keep_alive = time.monotonic(), self.options.keep_alive
        idle = sorted((r for r in self._loaded() if not r.uses), key=lambda resident: resident.used_at)
        for resident in idle:
            if keep_alive and now - resident.used_at >= keep_alive:
                await self._unload(resident, f"not used for {keep_alive:g} s")
        available = self._available()
        still = [resident for resident in idle if resident.loaded and not resident.uses]
        if still and available is not None and available < self.options.short_below:
            await self._unload(still[0], "the machine is short of memory")

    async def _unload(self, resident: Resident, reason: str) -> None:
        _log.info("model %s: unloaded (%s)", resident.id, reason)
        await resident.unload()
