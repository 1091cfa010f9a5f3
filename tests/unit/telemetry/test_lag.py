"""The event loop's lag."""

import asyncio

from antiphon.telemetry.lag import lag_measured
from antiphon.telemetry.metrics import Metrics


async def test_lag_is_measured_until_the_block_ends() -> None:
    """At least once, and by nobody afterwards."""
    metrics = Metrics()
    before = asyncio.all_tasks()
    async with lag_measured(metrics), asyncio.timeout(20):
        while not _count(metrics):  # noqa: ASYNC110 - nothing tells of a measurement
            await asyncio.sleep(0.05)
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before


def _count(metrics: Metrics) -> float:
    ((_, count),) = metrics.samples()["antiphon_event_loop_lag_seconds_count"]
    return count
