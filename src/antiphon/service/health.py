"""Is the server able to answer? Health is progress, not the mere existence of a process.

Invariant: an engine that has work and makes no progress is not ready, however alive it looks.
"""

from collections.abc import Mapping
from typing import Literal

from antiphon.core.generation import EngineStats
from antiphon.core.ports import Engine

ModelHealth = Literal["ready", "loading", "unloaded", "unavailable"]


class Health:
    """Reads the engines' newest snapshots; never waits for an engine."""

    def __init__(self, engines: Mapping[str, Engine], stall_after_s: float = 10.0) -> None:
        """Tell of these, by their model's id.

        An engine is stalled when it has work but made no step for `stall_after_s` seconds.
        """
        self._engines = engines
        self._stall_after_s = stall_after_s

    def ready(self) -> bool:
        """True while a request sent now would be answered by one model at least.

        A model whose engine is down refuses its own requests; the others' must still find the server.
        """
        return any(health != "unavailable" for health in self.models().values())

    def models(self) -> dict[str, ModelHealth]:
        """How each model is; one that is not loaded would be for the next request."""
        return {model: self._health(engine.stats()) for model, engine in self._engines.items()}

    def _health(self, stats: EngineStats) -> ModelHealth:
        if stats.state in ("loading", "unloaded"):
            return stats.state
        busy = stats.running + stats.waiting > 0
        stalled = busy and stats.step_age_s > self._stall_after_s
        return "ready" if stats.ready and not stalled else "unavailable"
