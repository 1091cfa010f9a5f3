"""How late the event loop wakes: the time that something else held it, or that the machine was busy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from antiphon.telemetry.metrics import Metrics

_INTERVAL_S = 0.25


@asynccontextmanager
async def lag_measured(metrics: Metrics) -> AsyncIterator[None]:
    """Measure until the block ends."""
    measuring = asyncio.create_task(_measure(metrics), name="event loop lag")
    try:
        yield
    finally:
        measuring.cancel()


async def _measure(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _INTERVAL_S
        await asyncio.sleep(_INTERVAL_S)
        metrics.event_loop_lagged(max(loop.time() - due, 0.0))
