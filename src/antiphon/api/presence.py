"""Work that goes on only while somebody waits for its result.

A client that hangs up, or a server that has to end, cancels the work at once, streamed or not:
SDKs that time out send the same request again, and abandoned work would triple the load.

Invariant: when `while_present` returns or raises, the work is over and its cleanup has run.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from antiphon.api.http_errors import ShuttingDown
from antiphon.api.lifecycle import Lifecycle

T = TypeVar("T")


class ClientGone(Exception):
    """The client hung up: there is nobody to answer."""


async def while_present(receive: Receive, lifecycle: Lifecycle, work: Coroutine[Any, Any, T]) -> T:
    """The work's result. The request's body must have been read.

    Raises:
        ClientGone: the client hung up first.
        ShuttingDown: the server's grace ended first.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_hung_up(receive))
    cut = asyncio.create_task(lifecycle.cut.wait())
    try:
        await asyncio.wait((task, gone, cut), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone if gone.done() else ShuttingDown
    finally:
        for each in (task, gone, cut):
            each.cancel()
        await asyncio.gather(task, gone, cut, return_exceptions=True)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
