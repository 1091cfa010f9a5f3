"""Readiness as progress."""

import pytest

from antiphon.core.generation import EngineStats
from antiphon.engine.backends.fake import FakeEngine
from antiphon.service.health import Health


class EngineWithStats(FakeEngine):
    """A fake engine whose snapshot is given."""

    def __init__(self, snapshot: EngineStats) -> None:
        super().__init__()
        self.snapshot = snapshot

    def stats(self) -> EngineStats:
        """The given snapshot."""
        return self.snapshot


async def test_ready_follows_the_engine() -> None:
    """Ready from start to close."""
    engine = FakeEngine()
    health = Health(engine)
    seen = [health.ready()]
    await engine.start()
    seen.append(health.ready())
    await engine.aclose()
    seen.append(health.ready())

    assert seen == [False, True, False]


@pytest.mark.parametrize(
    ("snapshot", "ready"),
    [
        (EngineStats(ready=True, step_age_s=3600.0), True),
        (EngineStats(ready=True, running=1, step_age_s=9.0), True),
        (EngineStats(ready=True, running=1, step_age_s=11.0), False),
        (EngineStats(ready=True, waiting=1, step_age_s=11.0), False),
    ],
)
def test_stalled_engine_is_not_ready(snapshot: EngineStats, ready: bool) -> None:
    """Idleness is healthy; work without progress is not."""
    health = Health(EngineWithStats(snapshot), stall_after_s=10.0)

    assert health.ready() is ready
    assert health.report() == snapshot
