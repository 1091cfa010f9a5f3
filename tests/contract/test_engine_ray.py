"""Replicas on a Ray cluster under the engine contract, with the fake engine in each."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from antiphon.core.messages import Message
from antiphon.engine.backends.fake import FakeChatTemplate, FakeEngine, FakeTokenizer
from antiphon.text.prompt import encode_prompt
from tests.contract.engine_contract import EngineCase, EngineContract

pytest.importorskip("ray")

from antiphon.engine.backends.ray.client import RayEngine
from antiphon.engine.backends.ray.membership import RayOptions

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def ray_engine() -> RayEngine:
    """Two replicas, not started."""
    return RayEngine(FakeEngine, RayOptions(uuid4().hex, replicas=2, cpus=0))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine_case() -> AsyncIterator[EngineCase]:
    """Replicas on a cluster of this process's own."""
    tokenizer, template = FakeTokenizer(), FakeChatTemplate()
    engine = ray_engine()
    await engine.start()
    yield EngineCase(
        engine,
        fresh=ray_engine,
        prompt=lambda question: tuple(encode_prompt(template, tokenizer, [Message("user", question)])),
        decode=lambda ids: b"".join(map(tokenizer.token_bytes, ids)).decode(),
    )
    await engine.aclose()


@pytest.mark.asyncio(loop_scope="module")
class TestRayEngine(EngineContract):
    """Everything the port promises."""
