"""What others feel of schemas and patterns made to do harm: ordinary streams with and without them.

`python -m bench.micro.bombs` serves the default model anew for each round, because a bomb that was tried
once is known. Four clients stream answers of 64 tokens all the time; first alone, then, until all have
been answered, beside four clients that send the bombs of the test suite, then beside four that send as
many ordinary schemas, each a new one, then alone again. Any request slows others down; what bombs do
beyond that is the quotient.
"""

import asyncio
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from bench.cli import find_model
from bench.loadgen.client import Target, stream
from bench.loadgen.record import Record
from bench.micro.kept import keep
from bench.servers.antiphon import Antiphon
from bench.servers.peer import Load
from bench.servers.process import running
from bench.workloads import KINDS, Workload, make
from tests.schema_bombs import BOMBS, requests

_STREAMS = 4
_SENDERS = 4
_ROUNDS = 3
_ALONE_S = 12.0
_BASE = '"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":30'


async def measure(target: Target, workload: Workload, during: Callable[[], Awaitable[None]]) -> Any:
    """Tokens per second of all streams while this goes on, and the gaps between tokens."""
    over = asyncio.Event()
    records: list[Record] = []

    async def be_client(place: int) -> None:
        while not over.is_set():
            (words,) = workload.conversations[place % len(workload.conversations)].turns
            messages = [{"role": "user", "content": words}]
            place += _STREAMS
            records.append(
                await stream(
                    target, {"model": target.model, "messages": messages} | dict(workload.parameters)
                    | {"stream": True, "stream_options": {"include_usage": True}},
                )
            )  # fmt: skip

    began = time.perf_counter()
    async with asyncio.TaskGroup() as clients:
        for place in range(_STREAMS):
            clients.create_task(be_client(place))
        await during()
        ended = time.perf_counter()
        over.set()
    arrivals = [at for r in records for times in r.arrivals.values() for at in times if at <= ended]
    gaps = sorted(gap for record in records for gap in record.gaps)
    return {
        "seconds": ended - began,
        "tokens_per_s": len(arrivals) / (ended - began),
        "gap_p50_ms": 1e3 * statistics.median(gaps),
        "gap_p99_ms": 1e3 * gaps[int(len(gaps) * 0.99)],
        "errors": [record.error for record in records if record.error],
    }


def _bombs() -> list[str]:
    return [fields for bomb in BOMBS for fields in requests(bomb)]


def _ordinary(count: int) -> list[str]:
    """Fields of requests with schemas as people write them, no two of them alike."""
    schema = make("json", 1, 0, 1).parameters["response_format"]
    text = json.dumps(schema)
    return [f'"response_format":{text.replace("city", f"city_{number}")}' for number in range(count)]


async def send(target: Target, waiting: list[str], statuses: Counter[int]) -> None:
    """All of them, from a few clients at once."""
    async with httpx.AsyncClient(timeout=120) as http, asyncio.TaskGroup() as clients:

        async def be_client() -> None:
            while waiting:
                answer = await http.post(
                    f"http://{target.host}:{target.port}/v1/chat/completions",
                    content=f"{{{_BASE},{waiting.pop(0)}}}",
                    headers={"content-type": "application/json"},
                )
                statuses[answer.status_code] += 1

        for _ in range(_SENDERS):
            clients.create_task(be_client())


async def one_round(target: Target, workload: Workload) -> dict[str, Any]:
    """Alone, beside bombs, beside ordinary schemas, alone again."""
    bombs, ordinary = Counter[int](), Counter[int]()
    before = await measure(target, workload, lambda: asyncio.sleep(_ALONE_S))
    beside = await measure(target, workload, lambda: send(target, _bombs(), bombs))
    usual = await measure(target, workload, lambda: send(target, _ordinary(len(_bombs())), ordinary))
    after = await measure(target, workload, lambda: asyncio.sleep(_ALONE_S))
    alone = (before["tokens_per_s"] + after["tokens_per_s"]) / 2
    return {
        "before": before,
        "beside": beside,
        "usual": usual,
        "after": after,
        "bombs": {str(status): count for status, count in bombs.items()},
        "ordinary": {str(status): count for status, count in ordinary.items()},
        "slower": alone / beside["tokens_per_s"],
        "slower_by_ordinary": alone / usual["tokens_per_s"],
    }


def main() -> None:
    """Measure and keep."""
    model = find_model("smollm2-135m")
    load = Load(model, os.cpu_count() or 2, _STREAMS, KINDS["chat"].sequence_tokens)
    workload = make("chat", _STREAMS, 0, 50)
    rounds = []
    for _ in range(_ROUNDS):
        with running(Antiphon().launch(load)) as server:
            asyncio.run(measure(server.target, workload, lambda: asyncio.sleep(3)))
            rounds.append(asyncio.run(one_round(server.target, workload)))
    medians = {
        name: statistics.median(each[name] for each in rounds) for name in ("slower", "slower_by_ordinary")
    }
    found = medians | {"rounds": rounds}
    keep("bombs", f"{len(BOMBS)} bombs beside {_STREAMS} streams: how much slower these get", found)


if __name__ == "__main__":
    main()
