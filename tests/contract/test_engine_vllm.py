"""vLLM's CPU build with the default model under the engine contract, and what only it promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import platformdirs
import pytest
import pytest_asyncio

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
from tests.contract.engine_contract import EngineCase, EngineContract

pytest.importorskip("vllm")

pytestmark = [pytest.mark.vllm, pytest.mark.model, pytest.mark.timeout(1200)]


def program(model: PreparedModel) -> VllmProgram:
    """The prepared model, in a small context so that it starts fast."""
    return VllmProgram(
        folder=model.folder,
        model_id=model.id,
        digest=model.digest,
        context_length=2048,
        vocab_size=model.vocab_size,
        eos_token_ids=model.eos_token_ids,
        kv_cache_bytes=512 << 20,
        arguments={"enforce_eager": "true"},
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine_case() -> AsyncIterator[EngineCase]:
    """An engine process with vLLM in it."""
    model = prepare(DEFAULT_MODEL, Path(platformdirs.user_cache_path("antiphon")), Silent(), form=SAFETENSORS)
    tokenizer, template = load_tokenizer(model.folder), load_chat_template(model.folder)
    engine = EngineClient(program(model))
    await engine.start()
    yield EngineCase(
        engine,
        fresh=lambda: EngineClient(program(model)),
        prompt=lambda question: tuple(encode_prompt(template, tokenizer, [Message("user", question)])),
        decode=lambda ids: b"".join(map(tokenizer.token_bytes, ids)).decode(),
        patience_s=200,
    )
    await engine.aclose()


@pytest.mark.asyncio(loop_scope="module")
class TestVllmEngine(EngineContract):
    """Everything the port promises, and how it is done with vLLM."""
