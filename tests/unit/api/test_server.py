"""Listening, and ending in good order."""

import asyncio
import json
import socket
import sys

import pytest

from antiphon.api.app import ApiOptions, create_app
from antiphon.api.server import new_event_loop, serve
from tests.unit.api.live import HI, post, serving, until
from tests.unit.api.scripted import HELLO, ScriptedCompletions, scripted_services


async def test_port_in_use_is_an_os_error() -> None:
    """The caller learns that the address is taken, before anything is served."""
    app = create_app(scripted_services(ScriptedCompletions()), ApiOptions())
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match=r"[Ii]n use"):
        await serve(app, "127.0.0.1", taken.getsockname()[1], print, shutdown=asyncio.Event(), grace_s=0)


async def test_idle_server_ends_at_once() -> None:
    """With nothing serving, the grace is not waited for."""
    async with serving(grace_s=1000) as live:
        await live.client.get("/health/live")
        live.shutdown.set()
        await live.ended


async def test_running_stream_finishes_within_the_grace() -> None:
    """What runs when the server is told to stop may finish."""
    gate = asyncio.Event()
    completions = ScriptedCompletions((gate, *HELLO))
    async with serving(completions, grace_s=1000) as live:
        connection = await live.connect()
        await connection.send(post(json.dumps({**HI, "stream": True}).encode()))
        await connection.read_until(b'"role":"assistant"')
        live.shutdown.set()
        await until(lambda: live.app.lifecycle.draining)
        gate.set()
        assert (await connection.read_all()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        await live.ended


async def test_running_stream_is_cut_after_the_grace() -> None:
    """What still runs then ends in an error event the client can read."""
    completions = ScriptedCompletions((asyncio.Event(),))
    async with serving(completions, grace_s=0) as live:
        connection = await live.connect()
        await connection.send(post(json.dumps({**HI, "stream": True}).encode()))
        await connection.read_until(b'"role":"assistant"')
        live.shutdown.set()
        rest = await connection.read_all()
        await live.ended
    assert b'data: {"error":{"message":"The server is shutting down.' in rest
    assert rest.endswith(b"\r\n0\r\n\r\n")
    assert completions.opened[0].closed.is_set()


async def test_running_whole_answer_is_cut_after_the_grace() -> None:
    """Unstreamed, the cut is a 503 that may be retried elsewhere."""
    completions = ScriptedCompletions((asyncio.Event(),))
    async with serving(completions, grace_s=0) as live:
        asking = asyncio.create_task(live.chat())
        await until(lambda: bool(completions.opened))
        live.shutdown.set()
        response = await asking
    assert response.status_code == 503
    assert response.headers["x-should-retry"] == "true"


async def test_draining_server_takes_no_new_work() -> None:
    """On connections that are still open, new requests are refused and readiness ends."""
    async with serving() as live:
        live.app.lifecycle.draining = True
        refused = await live.chat()
        ready = await live.client.get("/health/ready")
        alive = await live.client.get("/health/live")
    assert (refused.status_code, ready.status_code, alive.status_code) == (503, 503, 200)
    assert ready.json() == {"status": "draining"}


async def test_server_names_neither_itself_nor_its_version() -> None:
    """Nobody needs to know what runs here."""
    async with serving() as live:
        response = await live.client.get("/health/live")
    assert "server" not in response.headers


async def test_ipv6_address_is_listened_on() -> None:
    """An address with colons is taken for what it is."""
    app = create_app(scripted_services(ScriptedCompletions()), ApiOptions())
    ports: list[int] = []
    shutdown = asyncio.Event()
    shutdown.set()
    await serve(app, "::1", 0, ports.append, shutdown=shutdown, grace_s=0)
    assert len(ports) == 1


def test_event_loop_is_asyncio_s_own_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop is not needed to run."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    loop.close()
    assert "uvloop" not in type(loop).__module__


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not exist there")
def test_event_loop_is_the_fast_one() -> None:
    """Where uvloop is installed it is used."""
    loop = new_event_loop()
    loop.close()
    assert "uvloop" in type(loop).__module__
