"""The chat workload on the bare engine loop: same prompts, same closed loop, no HTTP, no JSON, one process.

Run as `python -m bench.micro.closed_loop REQUEST`, where REQUEST is JSON of `Asked`; the figures go
to stdout as JSON. What a server reaches of these figures is what its layers cost.
"""

import sys
import time
from collections.abc import Iterator

import msgspec

from antiphon.core.generation import GenerationRequest
from antiphon.core.messages import Message
from antiphon.engine.loop import Emitted, EngineLoop, Outcome
from antiphon.models.chat_template import load_chat_template
from antiphon.models.tokenizer import load_tokenizer
from antiphon.text.prompt import encode_prompt
from bench.figures import summarise
from bench.loadgen.drive import Run
from bench.loadgen.record import Record
from bench.micro.rig import make_rig, request
from bench.servers.peer import Model
from bench.workloads import ANSWER_TOKENS, Workload, make


class Asked(msgspec.Struct):
    """What to measure."""

    model: Model
    threads: int
    concurrency: int
    seed: int
    requests_per_client: int


def closed_loop(loop: EngineLoop, todo: Iterator[GenerationRequest], concurrency: int) -> Run:
    """Keep `concurrency` requests going until all are done."""
    records: dict[str, Record] = {}
    began, cpu_before = time.perf_counter(), time.process_time()
    open_requests = 0
    while True:
        while open_requests < concurrency and (spec := next(todo, None)) is not None:
            loop.submit(spec, [])
            records[spec.id] = Record(sent=time.perf_counter(), prompt_tokens=len(spec.prompt))
            open_requests += 1
        if not open_requests:
            break
        open_requests -= _note(loop.step(), records)
    return Run([*records.values()], [], time.perf_counter() - began, time.process_time() - cpu_before)


def _note(outcomes: list[Outcome], records: dict[str, Record]) -> int:
    """Write a step's tokens down; returns how many requests it ended."""
    now, ended = time.perf_counter(), 0
    for outcome in outcomes:
        record = records[outcome.key]
        if not isinstance(outcome, Emitted):
            record.error = "failed"
            ended += 1
            continue
        if outcome.delta is not None:
            record.arrivals.setdefault(0, []).append(now)
            record.usage_tokens += len(outcome.delta.token_ids)
        if outcome.end is not None:
            record.ended = now
            ended += 1
    return ended


def encoded_requests(workload: Workload, model: Model) -> list[GenerationRequest]:
    """The workload's first turns as the server would hand them to its engine."""
    tokenizer, template = load_tokenizer(model.folder), load_chat_template(model.folder)
    return [
        request(encode_prompt(template, tokenizer, [Message("user", talk.turns[0])]), ANSWER_TOKENS)
        for talk in workload.conversations
    ]


def main(text: str) -> None:
    """Load, warm up, measure, print."""
    asked = msgspec.json.decode(text, type=Asked, dec_hook=lambda kind, text: kind(text))
    rig = make_rig(asked.model, asked.threads)
    warm_up = make("chat", min(asked.concurrency, 8), -1 - asked.seed, 1)
    closed_loop(rig.loop, iter(encoded_requests(warm_up, asked.model)), asked.concurrency)
    workload = make("chat", asked.concurrency, asked.seed, asked.requests_per_client)
    run = closed_loop(rig.loop, iter(encoded_requests(workload, asked.model)), asked.concurrency)
    sys.stdout.buffer.write(msgspec.json.encode(summarise(run, workload, run.client_cpu_s)))


if __name__ == "__main__":
    main(sys.argv[1])
