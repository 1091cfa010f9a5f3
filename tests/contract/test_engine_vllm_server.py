"""A vLLM server behind a URL under the engine contract, and what it is refused for."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import platformdirs
import pytest
import pytest_asyncio

from antiphon.core.errors import EngineUnavailable
from antiphon.core.messages import Message
from antiphon.engine.backends.vllm.program import VllmProgram
from antiphon.engine.client import EngineClient
from antiphon.models.catalogue import DEFAULT_MODEL
from antiphon.models.chat_template import load_chat_template
from antiphon.models.folder import SAFETENSORS, PreparedModel
from antiphon.models.prepare import prepare
from antiphon.models.progress import Silent
from antiphon.models.tokenizer import load_tokenizer
from antiphon.text.prompt import encode_prompt
from tests import vllm_server
from tests.contract.engine_contract import EngineCase, EngineContract

pytest.importorskip("vllm")

pytestmark = [pytest.mark.vllm, pytest.mark.model, pytest.mark.timeout(1200)]


def model() -> PreparedModel:
    """The default model as vLLM reads it."""
    cache = Path(platformdirs.user_cache_path("antiphon"))
    return prepare(DEFAULT_MODEL, cache, Silent(), form=SAFETENSORS)


def program(url: str) -> VllmProgram:
    """That model, generated with by the server at the URL."""
    described = model()
    return VllmProgram(
        folder=described.folder,
        model_id=described.id,
        digest=described.digest,
        context_length=described.context_length,
        vocab_size=described.vocab_size,
        eos_token_ids=described.eos_token_ids,
        url=url,
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a vLLM server."""
    with vllm_server.running(model().folder, tmp_path_factory.mktemp("vllm") / "log") as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine_case(url: str) -> AsyncIterator[EngineCase]:
    """An engine process that asks it."""
    folder = model().folder
    tokenizer, template = load_tokenizer(folder), load_chat_template(folder)
    engine = EngineClient(program(url))
    await engine.start()
    yield EngineCase(
        engine,
        fresh=lambda: EngineClient(program(url)),
        prompt=lambda question: tuple(encode_prompt(template, tokenizer, [Message("user", question)])),
        decode=lambda ids: b"".join(map(tokenizer.token_bytes, ids)).decode(),
        patience_s=200,
    )
    await engine.aclose()


@pytest.mark.asyncio(loop_scope="module")
class TestVllmServer(EngineContract):
    """Everything the port promises, and what is told of the server."""

    async def test_what_the_server_can_do_is_found_out(self, engine_case: EngineCase) -> None:
        """It was started with grammars and priorities; the context is its own."""
        info = engine_case.engine.info

        assert info.context_length == vllm_server.CONTEXT_LENGTH
        assert set(info.lacks) == {"scored_constraints", "constraints_with_minimum", "budget_hint"}

    async def test_another_vocabulary_is_refused_at_the_start(
        self, url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its tokens would mean other texts."""
        document = json.loads((model().folder / "tokenizer.json").read_text(encoding="utf-8"))
        words = list(document["model"]["vocab"])[1000:]
        document["model"]["vocab"] |= dict(zip(words, range(len(words) + 999, 999, -1), strict=True))
        (tmp_path / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
        engine = EngineClient(replace(program(url), folder=tmp_path))

        with pytest.raises(EngineUnavailable):
            await engine.start()
        assert "another vocabulary" in caplog.text


async def test_server_that_is_not_there_is_an_error_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """The log says that it cannot be reached."""
    with pytest.raises(EngineUnavailable):
        await EngineClient(program("http://127.0.0.1:9")).start()

    assert "ConnectError" in caplog.text
