"""The whole application over the fake engine, with a store in memory, asked in this process."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import msgspec

from antiphon.app import build_app
from antiphon.assembly import assembled
from antiphon.cli.progress import open_progress
from antiphon.engine.backends.fake import improvise
from antiphon.service.generations import ModelParts
from antiphon.settings import Settings
from antiphon.store.memory import MemoryStore


@dataclass
class FakeServer:
    """The application, and what asks it."""

    client: httpx.AsyncClient

    async def post(self, path: str, body: Mapping[str, Any], status: int = 200) -> Any:
        """The decoded answer, whose status must be this."""
        response = await self.client.post(path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    async def refusal(self, path: str, body: Mapping[str, Any], status: int = 400) -> tuple[Any, Any]:
        """The parameter and the code of an error."""
        error = (await self.post(path, body, status))["error"]
        return error["param"], error["code"]

    async def events(self, path: str, body: Mapping[str, Any]) -> list[Any]:
        """The decoded `data` of a stream, `[DONE]` as it is."""
        response = await self.client.post(path, json={**body, "stream": True})
        assert response.status_code == 200, response.text
        lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
        return [line if line == "[DONE]" else msgspec.json.decode(line) for line in lines]


@asynccontextmanager
async def fake_server(
    *, store: bool = True, parts: ModelParts | None = None, **settings: Any
) -> AsyncIterator[FakeServer]:
    """Serve until the block ends; `parts` where the fake model is to say or be something particular."""
    chosen = Settings(engine="fake", **settings)
    models = assembled(chosen, open_progress, improvise)
    if parts is not None:
        models = (replace(models[0], parts=parts),)
    await models[0].parts.engine.start()
    app, _ = build_app(chosen, models, MemoryStore() if store else None)
    transport = httpx.ASGITransport(app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield FakeServer(client)
    finally:
        for model in models:
            await model.parts.engine.aclose()
