"""What Ray costs: CPU time of all processes, for streams of a scripted engine with and without Ray before it.

`python -m bench.micro.ray_cost`, with Ray installed. The engine computes nothing, so that what is left is
the way of the tokens. It is CPU time, which other load on the machine hardly changes, and what everything
uses when nothing is asked is taken off.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count
from typing import Any

from antiphon.core.generation import GenerationRequest
from antiphon.core.ports import Engine
from antiphon.engine.backends.fake import FakeEngine, Script
from antiphon.engine.backends.ray.client import RayEngine
from antiphon.engine.backends.ray.membership import RayOptions
from antiphon.engine.backends.ray.messages import Group, group_pause_s
from bench.micro.kept import keep
from bench.servers.process import tree_cpu_seconds

_STREAMS = (1, 4, 16)
_TOKENS = 150
_APART_S = 0.02

_numbers = count()


def _script(request: GenerationRequest, choice: int) -> Script:
    return Script([(65,)] * request.max_tokens, "length", delay_s=_APART_S)


def _engine() -> FakeEngine:
    return FakeEngine(_script)


class _Counted(RayEngine):
    """Counts the groups that come."""

    groups = 0

    async def _groups(self, handle: Any, request: GenerationRequest) -> AsyncGenerator[Group, None]:
        async with aclosing(super()._groups(handle, request)) as groups:
            async for group in groups:
                self.groups += 1
                yield group


async def _stream(engine: Engine) -> None:
    request = GenerationRequest(f"{next(_numbers):x}", tuple(range(60)), _TOKENS)
    async with aclosing(engine.generate(request)) as generation:
        async for _ in generation:
            pass


async def _cpu_s(engine: Engine, streams: int) -> tuple[float, float]:
    """CPU and wall seconds of so many streams."""
    loop = asyncio.get_running_loop()
    began, before = loop.time(), tree_cpu_seconds(os.getpid())
    await asyncio.gather(*(_stream(engine) for _ in range(streams)))
    return tree_cpu_seconds(os.getpid()) - before, loop.time() - began


async def _idle_share(seconds: float) -> float:
    before = tree_cpu_seconds(os.getpid())
    await asyncio.sleep(seconds)
    return (tree_cpu_seconds(os.getpid()) - before) / seconds


async def _measure() -> dict[str, object]:
    local, through = _engine(), _Counted(_engine, RayOptions("cost", cpus=1))
    await local.start()
    await through.start()
    try:
        await _cpu_s(through, 4)
        idle = await _idle_share(10)
        rows = []
        for streams in _STREAMS:
            through.groups = 0
            (bare, bare_wall), (cpu, wall) = await _cpu_s(local, streams), await _cpu_s(through, streams)
            extra = (cpu - idle * wall) - (bare - idle * bare_wall)
            rows.append(
                {
                    "streams": streams,
                    "pause_s": group_pause_s(streams, 1),
                    "tokens": streams * _TOKENS,
                    "groups": through.groups,
                    "ray_ms_per_group": 1000 * extra / through.groups,
                    "ray_ms_per_token": 1000 * extra / (streams * _TOKENS),
                    "ray_share_of_a_core": extra / wall,
                }
            )
    finally:
        await through.aclose()
        await local.aclose()
    return {"idle_share_of_a_core": idle, "rows": rows}


def main() -> None:
    """Measure, keep."""
    keep("ray-cost", "CPU time of tokens on their way through Ray", asyncio.run(_measure()))


if __name__ == "__main__":
    main()
