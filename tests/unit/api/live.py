"""The application on a real socket, in the test's own event loop."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import httpx
from uvicorn.server import ServerState

from antiphon.api.app import ApiApp, ApiOptions, create_app
from antiphon.api.connection import GuardedProtocol
from antiphon.api.server import serve, uvicorn_config
from antiphon.service.completions import Completions
from antiphon.service.health import Health
from antiphon.service.stored import StoredCompletions
from tests.unit.api.scripted import ScriptedCompletions, scripted_services

DEFAULTS = ApiOptions()

HI = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@dataclass
class Live:
    """A running server and ways to talk to it."""

    app: ApiApp
    port: int
    client: httpx.AsyncClient
    shutdown: asyncio.Event
    ended: "asyncio.Task[None]" = field(repr=False)
    state: ServerState = field(default_factory=ServerState, repr=False)

    async def chat(self, **fields: object) -> httpx.Response:
        """Ask for a completion of a short conversation."""
        return await self.client.post("/v1/chat/completions", json={**HI, **fields})

    async def connect(self) -> "RawConnection":
        """Open a connection of one's own."""
        return RawConnection(*await asyncio.open_connection("127.0.0.1", self.port))

    def connections_in_head(self) -> int:
        """How many connections have begun a request and not finished its headers."""
        return sum(connection._in_head for connection in self._connections())

    def is_held_up(self) -> bool:
        """True while an answer waits for its reader."""
        return any(connection.flow.write_paused for connection in self._connections())

    def _connections(self) -> list[GuardedProtocol]:
        return [each for each in self.state.connections if isinstance(each, GuardedProtocol)]

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes on a fresh connection and read until the server hangs up."""
        connection = await self.connect()
        await connection.send(data)
        return await connection.read_all()


@dataclass
class RawConnection:
    """Bytes to and from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def read_until(self, mark: bytes) -> bytes:
        """Read up to and including these bytes."""
        return await self.reader.readuntil(mark)

    async def read_all(self) -> bytes:
        """Read until the server hangs up, then hang up too."""
        data = await self.reader.read()
        await self.close()
        return data

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        await self.writer.wait_closed()


@asynccontextmanager
async def serving(
    completions: Completions | None = None, options: ApiOptions = DEFAULTS, grace_s: float = 5.0
) -> AsyncIterator[Live]:
    """Run the whole server, its end included, until the block ends."""
    app = create_app(scripted_services(completions or ScriptedCompletions()), options)
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    shutdown = asyncio.Event()
    ended = asyncio.create_task(
        serve(app, "127.0.0.1", 0, started.set_result, shutdown=shutdown, grace_s=grace_s)
    )
    port = await started
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield Live(app, port, client, shutdown, ended)
    finally:
        shutdown.set()
        await ended


@asynccontextmanager
async def running(
    completions: Completions | None = None,
    options: ApiOptions = DEFAULTS,
    health: Health | None = None,
    stored: StoredCompletions | None = None,
) -> AsyncIterator[Live]:
    """Accept connections as the server does until the block ends, without its slow start and end."""
    app = create_app(scripted_services(completions or ScriptedCompletions(), health, stored), options)
    config, state = uvicorn_config(app, grace_s=0), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    protocol = partial(cast(Any, config.http_protocol_class), config=config, server_state=state, app_state={})
    listener = await loop.create_server(protocol, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield Live(app, port, client, asyncio.Event(), asyncio.create_task(asyncio.sleep(0)), state)
    finally:
        listener.close()
        app.lifecycle.cut.set()
        for connection in list(state.connections):
            connection.shutdown()
        await until(lambda: not (state.connections or state.tasks))


async def until(condition: Callable[[], bool]) -> None:
    """Let everything else run until this is true; for what has no event to wait for."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


def post(body: bytes, *headers: str, path: str = "/v1/chat/completions", host: str = "localhost") -> bytes:
    """A request as bytes, its body declared as JSON."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def status_of(answer: bytes) -> int:
    """The status of an answer's bytes; 0 when there is no answer."""
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match[1]) if match else 0
