"""Closed loop: a fixed number of clients, each of which sends its next request when one is answered.

Invariant: which conversations are held, and how each turn's request reads, depends on the workload
alone; only the assistant's words in a later turn's history are the server's own.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.loadgen.client import Target, stream
from bench.loadgen.record import Record
from bench.workloads import Conversation, Workload


@dataclass(frozen=True, slots=True)
class Run:
    """A driven workload. Neither `wall_s` nor `client_cpu_s` covers the opening."""

    records: list[Record]
    opening: list[Record]
    wall_s: float
    client_cpu_s: float


async def drive(target: Target, workload: Workload, concurrency: int) -> Run:
    """Hold the workload's opening conversation alone, then all others with `concurrency` clients."""
    opening: list[Record] = []
    if workload.opening is not None:
        await _hold(target, workload, workload.opening, opening)
    records: list[Record] = []
    todo = iter(workload.conversations)
    began, cpu_before = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as clients:
        for _ in range(concurrency):
            clients.create_task(_be_client(target, workload, todo, records))
    return Run(records, opening, time.perf_counter() - began, time.process_time() - cpu_before)


async def _be_client(
    target: Target, workload: Workload, todo: Iterator[Conversation], records: list[Record]
) -> None:
    for conversation in todo:
        await _hold(target, workload, conversation, records)


async def _hold(
    target: Target, workload: Workload, conversation: Conversation, records: list[Record]
) -> None:
    """One conversation, turn by turn; an error ends it."""
    messages: list[dict[str, str]] = []
    for turn in conversation.turns:
        messages.append({"role": "user", "content": turn})
        body = {"model": target.model, "messages": messages, **_STREAMED, **workload.parameters}
        record = await stream(target, body)
        records.append(record)
        if record.error is not None:
            return
        messages.append({"role": "assistant", "content": record.texts.get(0, "")})


_STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
