"""Repeatability of the real engine: whatever else it does, an answer is the same to the last bit."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from random import Random

import pytest

from antiphon.core.generation import (
    Constraint,
    EngineEvent,
    GenerationRequest,
    SamplingParams,
    TokenDelta,
    TokenLogprob,
)
from antiphon.engine.client import EngineClient
from antiphon.models.folder import PreparedModel
from tests.contract.engine_contract import PERSON, ends_of, prompt_scores_of, tokens_of
from tests.contract.test_engine_openvino import options

REPEATS = 200
AT_ONCE = 14
SMALL_KV_CACHE = 12 << 20
"""About 500 tokens of the default model: a few requests."""
SCHEMA = Constraint("json_schema", json.dumps(PERSON))


@dataclass(frozen=True)
class Said:
    """What one choice said."""

    tokens: list[int]
    logprobs: list[TokenLogprob]
    end: str | None
    prompt: list[TokenLogprob]


def prompt(number: int, length: int) -> tuple[int, ...]:
    """A prompt of tokens from the middle of the vocabulary; equal numbers begin alike."""
    chance = Random(number)
    return tuple(chance.randrange(5_000, 20_000) for _ in range(length))


def kinds() -> list[GenerationRequest]:
    """What is repeated: every way of drawing, with and without a constraint."""
    plain = GenerationRequest("", prompt(1, 40), max_tokens=8, ignore_eos=True)
    scored = SamplingParams(seed=3, top_logprobs=3, frequency_penalty=0.4)
    held = replace(plain, prompt=prompt(3, 33), constraint=SCHEMA, max_tokens=16)
    return [
        replace(plain, sampling=SamplingParams(seed=1, top_logprobs=2)),
        replace(plain, prompt=prompt(2, 35), choices=3, sampling=scored),
        replace(plain, prompt=prompt(5, 5), sampling=SamplingParams(temperature=0.0, top_logprobs=0)),
        replace(held, sampling=SamplingParams(seed=5)),
        replace(held, sampling=scored, max_tokens=9),
        replace(plain, prompt=prompt(4, 9), sampling=SamplingParams(seed=6, top_p=0.9, top_k=50), priority=1),
        replace(plain, prompt=prompt(1, 66), sampling=SamplingParams(seed=7, top_logprobs=1), max_tokens=20),
        replace(plain, prompt=prompt(1, 40), sampling=SamplingParams(seed=8), prompt_logprobs=1),
        replace(plain, prompt=prompt(6, 7) * 6, sampling=SamplingParams(temperature=0.0, top_logprobs=1)),
    ]


def said(events: list[EngineEvent], choices: int) -> list[Said]:
    """The answer, choice by choice."""
    ends = ends_of(events)
    deltas = [event for event in events if isinstance(event, TokenDelta)]
    scores = prompt_scores_of(events)
    return [
        Said(
            tokens_of(events, c),
            [e for d in deltas if d.choice == c for e in d.logprobs],
            ends.get(c),
            scores,
        )
        for c in range(choices)
    ]


async def ask(engine: EngineClient, spec: GenerationRequest) -> list[Said]:
    """A request that is left alone."""
    async with aclosing(engine.generate(spec)) as generation:
        return said([event async for event in generation], spec.choices)


async def disturb(engine: EngineClient, number: int, chance: Random) -> None:
    """A request that is somewhere cut off, stopped, or left to end."""
    spec = GenerationRequest(
        f"other-{number}",
        prompt(chance.randrange(8), chance.choice([5, 40, 90])),
        max_tokens=chance.randrange(4, 60),
        choices=chance.choice([1, 1, 2, 4]),
        sampling=SamplingParams(seed=number, temperature=chance.choice([0.0, 1.0])),
        constraint=chance.choice([None, None, SCHEMA]),
        priority=chance.choice([-1, 0, 1]),
        cache_salt=chance.choice(["", "", str(number)]),
    )
    leave_after = chance.choice([0, 1, 5, 99])
    async with aclosing(engine.generate(spec)) as generation:
        async for event in generation:
            if leave_after == 0:
                return
            leave_after -= 1
            if isinstance(event, TokenDelta) and chance.random() < 0.1:
                generation.stop(event.choice)


def mixed(chance: Random) -> Iterator[GenerationRequest]:
    """The repeats in some order, in the cache or not."""
    choices = kinds()
    for number in range(REPEATS):
        salt = chance.choice(["", str(number)])
        yield replace(choices[number % len(choices)], id=f"{number}", cache_salt=salt)


@pytest.mark.model
@pytest.mark.timeout(360)
async def test_repeats_under_mixed_load_differ_in_nothing(prepared_model: PreparedModel) -> None:
    """Two hundred repeats among cancels, stops, schemas and preemptions: same tokens, same logprobs."""
    engine = EngineClient(replace(options(prepared_model), kv_cache_bytes=SMALL_KV_CACHE))
    await engine.start()
    alone = [await ask(engine, replace(spec, id=f"alone-{i}")) for i, spec in enumerate(kinds())]
    chance, differing, places = Random(0), [], asyncio.Semaphore(AT_ONCE)

    async def repeat(spec: GenerationRequest) -> None:
        async with places:
            if chance.random() < 0.15:
                await disturb(engine, int(spec.id), chance)
            if await ask(engine, spec) != alone[int(spec.id) % len(alone)]:
                differing.append(spec.id)

    async with asyncio.timeout(300), asyncio.TaskGroup() as group:
        for spec in mixed(chance):
            group.create_task(repeat(spec))
    stats = engine.stats()
    await engine.aclose()

    assert differing == []
    assert stats.preemptions > 0
    assert stats.forced_tokens > 0
    assert 0 < stats.cached_tokens < stats.prompt_tokens


@pytest.mark.model
async def test_jump_forward_changes_no_answer(prepared_model: PreparedModel) -> None:
    """Forced tokens taken at once or drawn one by one: what follows them is drawn alike."""
    answers = []
    for jump_forward in (True, False):
        engine = EngineClient(replace(options(prepared_model), jump_forward=jump_forward))
        await engine.start()
        specs = [
            replace(kinds()[3], id=str(seed), max_tokens=60, sampling=SamplingParams(seed=seed))
            for seed in range(6)
        ]
        answers.append(await asyncio.gather(*(ask(engine, spec) for spec in specs)))
        assert (engine.stats().forced_tokens > 0) is jump_forward
        await engine.aclose()

    assert answers[0] == answers[1]


@pytest.mark.model
async def test_drafts_change_no_answer(prepared_model: PreparedModel) -> None:
    """Guessed or not, alone or side by side: the same tokens and logprobs, to the last bit."""
    answers = []
    for draft_tokens in (0, 7):
        engine = EngineClient(replace(options(prepared_model), draft_tokens=draft_tokens))
        await engine.start()
        specs = [
            replace(kinds()[-1], id=f"{number}", prompt=prompt(number, 7) * 6, max_tokens=60)
            for number in range(4)
        ]
        alone = [await ask(engine, replace(spec, id=f"alone-{spec.id}")) for spec in specs]
        beside = await asyncio.gather(*(ask(engine, spec) for spec in specs))
        answers += [alone, beside]
        assert (engine.stats().accepted_tokens > 20) is (draft_tokens > 0)
        await engine.aclose()

    assert all(answer == answers[0] for answer in answers)
