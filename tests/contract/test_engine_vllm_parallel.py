"""vLLM's tensor, pipeline and data parallelism under our constraints, with several workers on one CPU.

Each starts an engine of its own; what an engine promises in general is in `test_engine_vllm`. The default
model has nine heads, so that its tensors are split in three.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import jsonschema
import platformdirs
import pytest

from antiphon.core.generation import Constraint, SamplingParams
from antiphon.core.messages import Message
from antiphon.engine.client import EngineClient
from antiphon.models.catalogue import DEFAULT_MODEL
from antiphon.models.chat_template import load_chat_template
from antiphon.models.folder import SAFETENSORS
from antiphon.models.prepare import prepare
from antiphon.models.progress import Silent
from antiphon.models.tokenizer import load_tokenizer
from antiphon.text.prompt import encode_prompt
from tests.contract.engine_contract import PERSON, EngineCase, ends_of, tokens_of
from tests.contract.test_engine_vllm import program
from tests.live.vllm_api import names_twice

pytest.importorskip("vllm")

pytestmark = [pytest.mark.vllm, pytest.mark.model, pytest.mark.timeout(1200)]

_TRACED = '{"mode": 2, "backend": "eager"}'
"""For stages: on a CPU vLLM 0.32 makes room for what one hands to the next only where it warms up."""


@contextmanager
def case(**arguments: str) -> Iterator[EngineCase]:
    """An engine with these arguments of vLLM's, not yet started; one thread for each worker."""
    model = prepare(DEFAULT_MODEL, Path(platformdirs.user_cache_path("antiphon")), Silent(), form=SAFETENSORS)
    plain = program(model)
    engine = EngineClient(replace(plain, threads=1, arguments=dict(plain.arguments) | arguments))
    tokenizer, template = load_tokenizer(model.folder), load_chat_template(model.folder)
    yield EngineCase(
        engine,
        fresh=lambda: engine,
        prompt=lambda question: tuple(encode_prompt(template, tokenizer, [Message("user", question)])),
        decode=lambda ids: b"".join(map(tokenizer.token_bytes, ids)).decode(),
        patience_s=200,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"tensor_parallel_size": "3"},
        {"data-parallel-size": "2"},
        {"pipeline_parallel_size": "2", "enforce_eager": "false", "compilation_config": _TRACED},
    ],
    ids=["tensor", "data", "pipeline"],
)
async def test_parallel_workers_keep_the_contract(arguments: dict[str, str]) -> None:
    """Seeds repeat in company, and every worker masks, and draws where names are free, alike."""
    with case(**arguments) as engine_case:
        await engine_case.engine.start()
        try:
            await check(engine_case)
        finally:
            await engine_case.engine.aclose()


async def check(engine_case: EngineCase) -> None:
    """Ask for everything at once."""
    seeded = engine_case.request(sampling=SamplingParams(seed=7), choices=2, ignore_eos=True)
    alone = await engine_case.answer(seeded)
    person = Constraint("json_schema", json.dumps(PERSON))
    free = Constraint("json_schema", '{"type":"object","maxProperties":6}', ("",))
    hot = SamplingParams(temperature=1.5, seed=4)
    among, held, named, *others = await asyncio.gather(
        *map(
            engine_case.answer,
            (
                replace(seeded, id="again"),
                engine_case.request("Describe a person.", max_tokens=200, constraint=person),
                engine_case.request("JSON.", max_tokens=80, choices=2, constraint=free, sampling=hot),
                *(engine_case.request(f"Story {i}") for i in range(4)),
            ),
        )
    )

    assert [tokens_of(among, choice) for choice in (0, 1)] == [tokens_of(alone, choice) for choice in (0, 1)]
    assert ends_of(held) == {0: "stop"}
    jsonschema.validate(json.loads(engine_case.decode(tokens_of(held))), PERSON)
    for choice, reason in ends_of(named).items():
        assert reason == "length" or not names_twice(engine_case.decode(tokens_of(named, choice)))
    assert [set(ends_of(events)) for events in others] == [{0}] * 4
    assert await engine_case.idle()
