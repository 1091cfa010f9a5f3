"""Is the server able to answer? Health is progress, not the mere existence of a process.

Invariant: an engine that has work and makes no progress is not ready, however alive it looks.
"""

from antiphon.core.generation import EngineStats
from antiphon.core.ports import Engine


class Health:
    """Reads the engine's newest snapshot; never waits for the engine."""

    def __init__(self, engine: Engine, stall_after_s: float = 10.0) -> None:
        """Call the engine stalled when it has work but made no step for `stall_after_s` seconds."""
        self._engine = engine
        self._stall_after_s = stall_after_s

    def report(self) -> EngineStats:
        """The engine's newest snapshot."""
        return self._engine.stats()

    def ready(self) -> bool:
        """True when a request sent now would be answered."""
        stats = self._engine.stats()
        busy = stats.running + stats.waiting > 0
        return stats.ready and not (busy and stats.step_age_s > self._stall_after_s)
