"""The fake engine under the engine contract."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from antiphon.engine.backends.fake import FakeEngine, FakeTokenizer
from tests.contract.engine_contract import EngineCase, EngineContract


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine_case() -> AsyncIterator[EngineCase]:
    """A fake engine that improvises."""
    engine, tokenizer = FakeEngine(), FakeTokenizer()
    await engine.start()
    yield EngineCase(
        engine,
        fresh=FakeEngine,
        prompt=lambda question: tuple(tokenizer.encode_plain(question)),
        decode=lambda ids: b"".join(map(tokenizer.token_bytes, ids)).decode(),
    )
    await engine.aclose()


@pytest.mark.asyncio(loop_scope="module")
class TestFakeEngine(EngineContract):
    """Everything the port promises."""
