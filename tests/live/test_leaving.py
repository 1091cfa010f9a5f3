"""Clients that leave a server with the real model, over sockets of their own: nothing runs on for them.

The KV cache is small, so that one request can make another one wait, and one can be too large.
"""

import json
import socket
import struct
import time
import urllib.request
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from tests.live.server_process import ServerProcess, running

pytestmark = [pytest.mark.model, pytest.mark.live]

PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose KV cache holds one long conversation."""
    with running(tmp_path_factory.mktemp("small_server"), "--kv-cache-mib", "16") as process:
        yield process


def close(peer: socket.socket) -> None:
    """Hang up."""
    peer.close()


def reset(peer: socket.socket) -> None:
    """Hang up without the usual farewell: the server gets an RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def half_close(peer: socket.socket) -> None:
    """Say that nothing more will be sent, as a process that dies does first."""
    peer.shutdown(socket.SHUT_WR)


LEAVING = [close, reset, half_close]


def figures(server: ServerProcess) -> dict[str, float]:
    """The engine's figures, by the names of their metrics."""
    with urllib.request.urlopen(f"{server.base_url}/antiphon/stats", timeout=10) as answer:
        series = json.load(answer)["series"]
    names = ("engine_running", "engine_waiting", "kv_pages_used", "engine_steps_total")
    return {name: series[f"antiphon_{name}"][0][1] for name in names}


def until(server: ServerProcess, condition: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The first figures for which this is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition(found := figures(server)):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def idle(server: ServerProcess) -> dict[str, float]:
    """Figures once nothing runs, waits or holds a page."""
    return until(server, lambda f: not (f["engine_running"] or f["engine_waiting"] or f["kv_pages_used"]))


def ask(server: ServerProcess, words: int, **fields: object) -> socket.socket:
    """Send a request that would take long, on a connection of its own."""
    parts = urlsplit(server.base_url)
    message = {"role": "user", "content": "time " * words}
    body = {"model": "gpt-4o-mini", "messages": [message], "max_tokens": 300, "ignore_eos": True, **fields}
    data = json.dumps(body).encode()
    peer = socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=PATIENCE_S)
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    peer.sendall(head.encode() + data)
    return peer


@pytest.mark.parametrize("leave", LEAVING)
@pytest.mark.parametrize("fields", [{"stream": True}, {}, {"n": 4, "stream": True}, {"n": 4}])
def test_leaving_while_tokens_come_frees_everything(
    small_server: ServerProcess, leave: Callable[[socket.socket], None], fields: dict[str, object]
) -> None:
    """Streamed or not, one choice or several: what the client leaves is over for the engine too."""
    idle(small_server)
    before = figures(small_server)["engine_steps_total"]
    peer = ask(small_server, 5, **fields)
    until(small_server, lambda f: f["engine_steps_total"] > before + 4)
    leave(peer)
    steps = idle(small_server)["engine_steps_total"] - before
    peer.close()

    assert steps < 250


@pytest.mark.parametrize("leave", LEAVING)
def test_leaving_in_prefill_frees_everything(
    small_server: ServerProcess, leave: Callable[[socket.socket], None]
) -> None:
    """The rest of a long prompt is not computed."""
    idle(small_server)
    peer = ask(small_server, 350, stream=True)
    until(small_server, lambda f: f["engine_running"] > 0)
    leave(peer)
    idle(small_server)
    peer.close()


@pytest.mark.parametrize("leave", LEAVING)
@pytest.mark.parametrize("fields", [{"stream": True}, {"n": 2}])
def test_leaving_the_queue_frees_the_place(
    small_server: ServerProcess, leave: Callable[[socket.socket], None], fields: dict[str, object]
) -> None:
    """Who waits for pages and leaves never starts; who holds them goes on."""
    idle(small_server)
    first = ask(small_server, 300, stream=True)
    until(small_server, lambda f: f["engine_running"] == 1)
    second = ask(small_server, 301, **fields)
    until(small_server, lambda f: f["engine_waiting"] == 1)
    leave(second)
    found = until(small_server, lambda f: f["engine_waiting"] == 0)
    second.close()
    first.close()
    idle(small_server)

    assert found["engine_running"] == 1


def test_prompt_larger_than_the_kv_cache_is_refused_at_once(small_server: ServerProcess) -> None:
    """It could never run, so it is a 400 before it waits for anything, whatever runs meanwhile."""
    idle(small_server)
    other = ask(small_server, 300, stream=True)
    until(small_server, lambda f: f["engine_running"] == 1)
    peer = ask(small_server, 2000, max_tokens=1)
    answer = b""
    while b"}}" not in answer and (part := peer.recv(65536)):
        answer += part
    peer.close()
    found = figures(small_server)
    other.close()
    idle(small_server)

    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"context_length_exceeded" in answer
    assert (found["engine_running"], found["engine_waiting"]) == (1, 0)
