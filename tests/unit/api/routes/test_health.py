"""The health routes."""

import pytest

from tests.unit.api.live import running
from tests.unit.api.scripted import ScriptedHealth


async def test_live_says_so() -> None:
    """The process answers, whatever the engine does."""
    health = ScriptedHealth()
    health.is_ready = False
    async with running(health=health) as live:
        response = await live.client.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "live"})


@pytest.mark.parametrize(
    ("path", "beside"), [("/health/ready", {}), ("/health", {"models": {"m": "loading"}})]
)
async def test_ready_follows_the_engine(path: str, beside: dict[str, object]) -> None:
    """503 while a request would not be answered, 200 as soon as it would."""
    health = ScriptedHealth()
    async with running(health=health) as live:
        health.is_ready = False
        before = await live.client.get(path)
        health.is_ready = True
        after = await live.client.get(path)
    assert (before.status_code, before.json()) == (503, {"status": "unavailable"} | beside)
    assert (after.status_code, after.json()) == (200, {"status": "ready"} | beside)
