"""An engine that comes and goes keeps the promises of every engine."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from antiphon.engine.backends.fake import FakeEngine, FakeTokenizer
from antiphon.engine.on_demand import OnDemandEngine
from antiphon.engine.residency import Residency
from tests.contract.engine_contract import EngineCase, EngineContract


def on_demand() -> OnDemandEngine:
    """A fake engine that is loaded when it is asked for."""
    return OnDemandEngine(FakeEngine().info, 0, FakeEngine, Residency())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine_case() -> AsyncIterator[EngineCase]:
    """One that was asked for."""
    engine, tokenizer = on_demand(), FakeTokenizer()
    await engine.start()
    yield EngineCase(
        engine,
        fresh=on_demand,
        prompt=lambda question: tuple(tokenizer.encode_plain(question)),
        decode=lambda ids: b"".join(map(tokenizer.token_bytes, ids)).decode(),
    )
    await engine.aclose()


@pytest.mark.asyncio(loop_scope="module")
class TestOnDemandEngine(EngineContract):
    """Everything the port promises."""
