"""The headers that every answer carries."""

import re

import pytest

from antiphon.api.middleware.identity import Identity
from tests.unit.api.live import running

PATHS = ["/health/live", "/v1/models", "/v1/models/unknown", "/nowhere", "/v1/chat/completions"]


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_carries_an_id(path: str) -> None:
    """Errors too; and what the client calls itself does not matter."""
    async with running() as live:
        first = await live.client.get(path, headers={"x-request-id": "mine"})
        second = await live.client.get(path)
    for response in (first, second):
        assert re.fullmatch(r"req_[0-9a-f]{32}", response.headers["x-request-id"])
        assert response.headers["openai-version"] == "2020-10-01"
        assert response.headers["openai-processing-ms"].isdigit()
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_stream_carries_an_id() -> None:
    """A stream's headers are like any other's."""
    async with running() as live:
        response = await live.chat(stream=True)
    assert response.headers["x-request-id"].startswith("req_")


async def test_only_http_is_spoken() -> None:
    """Other kinds of ASGI connection are declared unsupported."""

    async def never(*args: object) -> None:
        raise AssertionError

    with pytest.raises(NotImplementedError):
        await Identity(never)({"type": "lifespan"}, never, never)  # type: ignore[arg-type]
