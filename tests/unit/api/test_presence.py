"""Work that stops when nobody waits for it."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.types import Message

from antiphon.api.http_errors import ShuttingDown
from antiphon.api.lifecycle import Lifecycle
from antiphon.api.presence import ClientGone, while_present


async def never() -> Message:
    """The messages of a client that stays."""
    await asyncio.Event().wait()
    raise AssertionError


class Work:
    """Work that ends when told, and knows whether it was cleaned up."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cleaned_up = False

    async def run(self) -> str:
        """Work for ever."""
        try:
            self.started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.cleaned_up = True
        return "done"


async def test_result_of_finished_work_is_returned() -> None:
    """Nothing interferes while the client waits."""

    async def work() -> str:
        return "done"

    assert await while_present(never, Lifecycle(), work()) == "done"


async def test_error_of_work_is_raised() -> None:
    """A failure is the work's own."""

    async def work() -> str:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await while_present(never, Lifecycle(), work())


async def test_departed_client_cancels_the_work() -> None:
    """Empty messages before the hang-up mean nothing; cleanup is waited for."""
    work = Work()
    messages: Iterator[Message] = iter([{"type": "http.request", "body": b""}, {"type": "http.disconnect"}])

    async def receive() -> Message:
        await work.started.wait()
        return next(messages)

    with pytest.raises(ClientGone):
        await while_present(receive, Lifecycle(), work.run())
    assert work.cleaned_up


async def test_cut_cancels_the_work() -> None:
    """The end of the server's grace is the end of the work."""
    work, lifecycle = Work(), Lifecycle()
    waiting = asyncio.create_task(while_present(never, lifecycle, work.run()))
    await work.started.wait()
    lifecycle.cut.set()
    with pytest.raises(ShuttingDown):
        await waiting
    assert work.cleaned_up


async def test_cancellation_from_outside_cancels_the_work() -> None:
    """Nothing is left behind."""
    work = Work()
    waiting = asyncio.create_task(while_present(never, Lifecycle(), work.run()))
    await work.started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cleaned_up
