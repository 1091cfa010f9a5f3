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
    health = Health({"m": engine})
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
    health = Health({"m": EngineWithStats(snapshot)}, stall_after_s=10.0)

    assert health.ready() is ready
    assert health.models() == {"m": "ready" if ready else "unavailable"}


def test_server_is_ready_while_one_model_answers() -> None:
    """One whose engine is down refuses its own requests; one that is not loaded would be."""
    down, failed = EngineWithStats(EngineStats()), EngineWithStats(EngineStats(state="failed"))
    asleep = EngineWithStats(EngineStats(state="unloaded"))
    coming = EngineWithStats(EngineStats(state="loading"))

    assert Health({"a": down, "b": asleep, "c": coming}).models() == {
        "a": "unavailable",
        "b": "unloaded",
        "c": "loading",
    }
    assert Health({"a": down, "b": asleep}).ready()
    assert not Health({"a": down, "b": failed}).ready()
