"""Answers of the real model in the engine's own loop, many at once, forced tokens and all."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from antiphon.core.errors import SchemaRefused
from antiphon.core.generation import EndReason, GenerationRequest, SamplingParams
from antiphon.engine.backends.openvino import OpenVINOBackend, OpenVINOOptions
from antiphon.engine.loop import Emitted, EngineLoop
from antiphon.engine.pages import PagePool
from antiphon.engine.scheduler import Scheduler
from antiphon.models.folder import PreparedModel
from antiphon.models.tokenizer import load_tokenizer
from antiphon.text.schema.validator import AnswerValidator
from tests.schema_proof import MAX_TOKENS, Case, Outcome, Proof, count

_AT_ONCE = 8
_KV_CACHE_BYTES = 256 << 20


@dataclass
class _Writing:
    """A case whose answer is being written."""

    case: Case
    validator: AnswerValidator
    text: bytes = b""
    end: EndReason | None = None
    failed: bool = False


async def run_model(proof: Proof, model: PreparedModel, cases: Iterable[Case]) -> dict[str, Counter[str]]:
    """Figures per keyword of one answer for each schema, at temperature 1."""
    backend = OpenVINOBackend(OpenVINOOptions(model.folder, _KV_CACHE_BYTES, os.cpu_count() or 1))
    scheduler = Scheduler(PagePool(backend.page_count), backend.page_tokens)
    loop = EngineLoop(backend, scheduler, model.eos_token_ids, time.perf_counter)
    tokenizer = load_tokenizer(model.folder)
    table: dict[str, Counter[str]] = {}
    writing: dict[str, _Writing] = {}
    prompt = tuple(tokenizer.encode_plain("An example of JSON as its schema describes it:\n"))
    for place, case in enumerate(cases):
        try:
            constraint, validator = await proof.accept(case.schema)
        except SchemaRefused as refused:
            count(table, case, Outcome(refused.reason))
            continue
        writing[str(place)] = _Writing(case, validator)
        request = GenerationRequest(
            str(place), prompt, MAX_TOKENS, sampling=SamplingParams(seed=place), constraint=constraint
        )
        loop.submit(request, [proof.compiler.compile(constraint)])
        for ended in _step_until(loop, writing, tokenizer.token_bytes, _AT_ONCE - 1):
            _count(table, ended)
    for ended in _step_until(loop, writing, tokenizer.token_bytes, 0):
        _count(table, ended)
    return table


def _step_until(
    loop: EngineLoop, writing: dict[str, _Writing], token_bytes: Callable[[int], bytes], left: int
) -> Iterator[_Writing]:
    """Step until so many are still being written; yields those that have ended."""
    while len(writing) > left:
        for outcome in loop.step():
            one = writing[outcome.key]
            if isinstance(outcome, Emitted):
                if outcome.delta:
                    one.text += b"".join(map(token_bytes, outcome.delta.token_ids))
                one.end = outcome.end
            else:
                one.failed = True
            if one.end or one.failed:
                yield writing.pop(outcome.key)


def _count(table: dict[str, Counter[str]], ended: _Writing) -> None:
    outcome = Outcome()
    if ended.failed:
        outcome.broken = 1
    else:
        outcome.judge(ended.text.decode() if ended.end == "stop" else None, ended.validator)
    count(table, ended.case, outcome)
