"""Listens: runs the application under uvicorn until it is told to stop, then ends in good order.

The end has three steps: no new connections and no new work; running answers may finish within the
grace; what still runs then is cut with an error the client can read. Signals are the caller's.
"""

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from typing import Any, cast

import uvicorn

from antiphon.api.app import ApiApp
from antiphon.api.connection import GuardedProtocol

_LAST_WORDS_S = 2
"""What cut requests get to tell their clients."""


async def serve(
    app: ApiApp,
    host: str,
    port: int,
    on_started: Callable[[int], None],
    *,
    shutdown: asyncio.Event,
    grace_s: float,
) -> None:
    """Serve until `shutdown` is set and the last answer is out.

    Port 0 takes a free one; `on_started` is told which, as soon as connections are accepted.

    Raises:
        OSError: the address cannot be listened on.
    """
    listener = _listen(host, port)
    server = _Server(uvicorn_config(app, grace_s), on_started)
    ending = asyncio.create_task(_end(app, server, shutdown, grace_s))
    try:
        await server.serve(sockets=[listener])
    finally:
        ending.cancel()
        listener.close()


@contextlib.asynccontextmanager
async def served(app: ApiApp, host: str, port: int) -> AsyncIterator[int]:
    """Serve until the block ends; gives the port once connections are accepted.

    Raises:
        OSError: the address cannot be listened on.
    """
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    shutdown = asyncio.Event()
    serving = asyncio.create_task(serve(app, host, port, started.set_result, shutdown=shutdown, grace_s=0))
    try:
        await asyncio.wait((serving, started), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield started.result()
    finally:
        shutdown.set()
        with contextlib.suppress(OSError):
            await serving


def new_event_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop there is here: pass it to `asyncio.Runner(loop_factory=…)`."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class _Server(uvicorn.Server):
    """uvicorn, without its signal handlers and with word of its start."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[int], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the caller."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then say so."""
        await super().startup(sockets)
        for listener in sockets or ():
            self._on_started(listener.getsockname()[1])


async def _end(app: ApiApp, server: uvicorn.Server, shutdown: asyncio.Event, grace_s: float) -> None:
    await shutdown.wait()
    app.lifecycle.draining = True
    server.should_exit = True
    await asyncio.sleep(grace_s)
    app.lifecycle.cut.set()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def uvicorn_config(app: ApiApp, grace_s: float) -> uvicorn.Config:
    """Everything that is not left at uvicorn's defaults."""
    protocol = partial(GuardedProtocol, options=app.options)
    return uvicorn.Config(
        app,
        # uvicorn only ever calls it, as it would call the class.
        http=cast(Any, protocol),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=app.options.keep_alive,
        timeout_graceful_shutdown=math.ceil(grace_s) + _LAST_WORDS_S,
    )
