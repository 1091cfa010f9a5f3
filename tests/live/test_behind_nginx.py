"""Two API servers behind a real nginx: streams pass as they come, and either server may be restarted."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from openai import OpenAI

from tests.free_port import free_port
from tests.live.server_process import ServerProcess, running
from tests.nginx_proxy import nginx, port_of, wait_for
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

CLIENTS = 4


@pytest.fixture
def store(postgres: PostgresServer) -> str:
    """A database for both."""
    return postgres.new_database()


@pytest.fixture
def servers(tmp_path: Path, store: str) -> Iterator[list[ServerProcess]]:
    """Two of them on one database; tests may replace one by another on its port."""
    with ExitStack() as stack:
        yield [stack.enter_context(started(tmp_path / name, store, free_port())) for name in "ab"]


@contextmanager
def started(folder: Path, store: str, port: int) -> Iterator[ServerProcess]:
    """A server of the pair."""
    with running(folder, "--engine", "fake", "--store", store, "--port", str(port)) as server:
        yield server


def test_stream_passes_unbuffered_and_what_one_stored_the_other_finds(
    tmp_path: Path, servers: list[ServerProcess]
) -> None:
    """The first chunk comes long before the last; ids are found whichever server is asked."""
    with nginx(tmp_path, [port_of(server) for server in servers]) as origin:
        wait_for(origin)
        client = OpenAI(base_url=f"{origin}/v1", api_key="any", max_retries=0)
        stream = client.chat.completions.create(
            model="fake", messages=[{"role": "user", "content": "Hello"}], stream=True, store=True
        )
        chunks = list(stream)
        assert chunks[-1].choices[0].finish_reason == "stop"
        for server in servers:
            with OpenAI(base_url=server.base_url, api_key="any") as direct:
                assert direct.chat.completions.retrieve(chunks[0].id).id == chunks[0].id


def test_restart_of_either_server_fails_no_request(
    tmp_path: Path, servers: list[ServerProcess], store: str
) -> None:
    """Clients that never retry stream all the while."""
    stop, failures, answered = threading.Event(), [], [0] * CLIENTS

    def talk(origin: str, place: int) -> None:
        client = OpenAI(base_url=f"{origin}/v1", api_key="any", max_retries=0, timeout=30)
        while not stop.is_set():
            try:
                chunks = list(
                    client.chat.completions.create(
                        model="fake", messages=[{"role": "user", "content": "Hello"}], stream=True
                    )
                )
                assert chunks[-1].choices[0].finish_reason == "stop"
                answered[place] += 1
            except Exception as error:  # noqa: BLE001 - every failure is one, whatever its kind
                failures.append(repr(error))

    with ExitStack() as stack:
        origin = stack.enter_context(nginx(tmp_path, [port_of(server) for server in servers]))
        wait_for(origin)
        clients = [threading.Thread(target=talk, args=(origin, place)) for place in range(CLIENTS)]
        for client in clients:
            client.start()
        for number, server in enumerate(servers):
            port = port_of(server)
            server.signal_group(signal.SIGTERM)
            server.popen.wait(30)
            stack.enter_context(started(tmp_path / f"again-{number}", store, port))
            before = sum(answered)
            deadline = time.monotonic() + 20
            while sum(answered) < before + 20 and time.monotonic() < deadline:
                time.sleep(0.05)
        stop.set()
        for client in clients:
            client.join()

    assert failures == []
    assert min(answered) > 10
