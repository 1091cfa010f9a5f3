"""The engine process with the real model under the engine contract, and what only it promises."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from antiphon.core.errors import EngineFailed, EngineUnavailable
from antiphon.core.generation import ChoiceEnd, GenerationRequest, SamplingParams, TokenDelta
from antiphon.core.messages import Message
from antiphon.engine.client import EngineClient, WatchOptions
from antiphon.engine.process import EngineOptions
from antiphon.models.chat_template import load_chat_template
from antiphon.models.folder import PreparedModel
from antiphon.models.tokenizer import load_tokenizer
from antiphon.text.prompt import encode_prompt
from tests.contract.engine_contract import (
    EngineCase,
    EngineContract,
    first_event,
    prompt_scores_of,
    tokens_of,
)


def options(model: PreparedModel) -> EngineOptions:
    """The prepared model, with defaults."""
    return EngineOptions(
        folder=model.folder,
        model_id=model.id,
        digest=model.digest,
        context_length=model.context_length,
        eos_token_ids=model.eos_token_ids,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine_case(prepared_model: PreparedModel) -> AsyncIterator[EngineCase]:
    """An engine process with the default model."""
    tokenizer, template = load_tokenizer(prepared_model.folder), load_chat_template(prepared_model.folder)
    engine = EngineClient(options(prepared_model))
    await engine.start()
    yield EngineCase(
        engine,
        fresh=lambda: EngineClient(options(prepared_model)),
        prompt=lambda question: tuple(encode_prompt(template, tokenizer, [Message("user", question)])),
        decode=lambda ids: b"".join(map(tokenizer.token_bytes, ids)).decode(),
    )
    await engine.aclose()


@pytest.mark.model
@pytest.mark.asyncio(loop_scope="module")
class TestOpenVINOEngine(EngineContract):
    """Everything the port promises, and more of it."""

    async def test_answers_do_not_depend_on_load_or_cache(self, engine_case: EngineCase) -> None:
        """Alone, again with its prompt cached, and among others: same tokens, same logprobs."""

        async def events(key: str, others: int) -> object:
            request = mixed(engine_case, 0, key)
            answers = [engine_case.answer(mixed(engine_case, i, f"{key}-{i}")) for i in range(1, others + 1)]
            mine, *_ = await asyncio.gather(engine_case.answer(request), *answers)
            return [
                replace(event, cached_tokens=0) for event in mine if isinstance(event, TokenDelta | ChoiceEnd)
            ]

        alone = await events("alone", 0)

        for load in (0, 1, 7, 20):
            assert alone == await events(f"load-{load}", load)

    async def test_answer_that_is_fed_back_is_scored_alike(self, engine_case: EngineCase) -> None:
        """What a token was likely as when it was drawn it is as part of a prompt, within rounding."""
        sampling = SamplingParams(seed=5, top_logprobs=0)
        asked = engine_case.request(max_tokens=24, ignore_eos=True, sampling=sampling)
        drawn = [e for e in await engine_case.answer(asked) if isinstance(e, TokenDelta)]
        answer = [token for delta in drawn for token in delta.token_ids]
        again = replace(asked, prompt=(*asked.prompt, *answer), max_tokens=0, prompt_logprobs=0)
        scores = prompt_scores_of(await engine_case.answer(again))

        expected = [entry.logprob for delta in drawn for entry in delta.logprobs]
        assert [score.logprob for score in scores[-24:]] == pytest.approx(expected, abs=0.25)

    async def test_kill_of_the_process_fails_what_runs_and_another_takes_over(
        self, engine_case: EngineCase
    ) -> None:
        """A running generation raises once, new ones are refused until the next process answers as before."""
        engine = engine_case.fresh()
        assert isinstance(engine, EngineClient)
        await engine.start()
        case = replace(engine_case, engine=engine)
        before = tokens_of(await case.answer(case.request()))
        async with aclosing(engine.generate(case.request(id="cut", max_tokens=4000, ignore_eos=True))) as cut:
            await first_event(cut)
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            with pytest.raises(EngineFailed):
                async for _ in cut:
                    pass
        with pytest.raises(EngineUnavailable):
            engine.generate(case.request())
        async with asyncio.timeout(60):
            while not engine.stats().ready:  # noqa: ASYNC110 - the port tells this only to those who ask
                await asyncio.sleep(0.05)

        assert before == tokens_of(await case.answer(case.request(id="again")))
        assert engine.stats().restarts == 1
        await engine.aclose()

    async def test_process_that_hangs_is_not_ready_and_then_replaced(
        self, prepared_model: PreparedModel, engine_case: EngineCase
    ) -> None:
        """A stopped process: first `ready` turns false, then its work fails, then another answers."""
        watch = WatchOptions(not_ready_after_s=1.5, kill_after_s=4.0)
        engine = EngineClient(options(prepared_model), watch)
        await engine.start()
        case = replace(engine_case, engine=engine)
        async with aclosing(engine.generate(case.request(max_tokens=4000, ignore_eos=True))) as hung:
            await first_event(hung)
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGSTOP)
            await until(lambda: not engine.stats().ready)
            assert engine.stats().restarts == 0
            with pytest.raises(EngineFailed):
                async for _ in hung:
                    pass
        await until(lambda: engine.stats().ready)

        assert tokens_of(await case.answer(case.request(id="after")))
        await engine.aclose()

    async def test_model_that_cannot_be_loaded_is_an_error_at_start(
        self, tmp_path: Path, prepared_model: PreparedModel, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An empty folder: `start` raises, the log says what failed, and no process is left."""
        engine = EngineClient(replace(options(prepared_model), folder=tmp_path))

        with pytest.raises(EngineUnavailable):
            await engine.start()
        assert "could not load" in caplog.text
        assert engine.pid is None


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds, a minute at the most."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nothing announces these changes
            await asyncio.sleep(0.05)


def mixed(case: EngineCase, number: int, key: str) -> GenerationRequest:
    """Requests of different lengths, sampling and choices; number 0 is the one that is compared."""
    question = "Tell me of the sea. " * (1 + 7 * (number % 5))
    sampling = SamplingParams(
        seed=number, temperature=(1.0, 0.0, 0.7)[number % 3], frequency_penalty=0.3, top_logprobs=2
    )
    return case.request(question, id=key, max_tokens=40, choices=1 + number % 3, sampling=sampling)
