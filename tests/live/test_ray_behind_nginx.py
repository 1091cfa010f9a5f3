"""Two API servers behind nginx that share the engines of one Ray cluster and one database."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, OpenAI

from tests.free_port import free_port
from tests.live import server_process
from tests.live.server_process import ServerProcess
from tests.nginx_proxy import nginx, port_of, wait_for
from tests.postgres_server import PostgresServer
from tests.ray_cluster import replica_processes, running

pytest.importorskip("ray")

pytestmark = [pytest.mark.ray, pytest.mark.live, pytest.mark.model, pytest.mark.timeout(600)]

KEY = "sk-only-servers-and-clients-know-this"
CLIENTS = 3
PATIENCE_S = 120.0
OPTIONS = ("--replicas", "2", "--threads", "1", "--kv-cache-mib", "256", "--drain-s", "60")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head, and two nodes of one core each that engines can run on."""
    with running(2) as cluster:
        yield cluster


class Pair:
    """The servers, by their place behind nginx."""

    def __init__(self, folder: Path, address: str, store: str) -> None:
        self._folder = folder
        self._arguments = ["--engine", "ray", "--ray-address", address, "--store", store, *OPTIONS]
        self.servers = [self.started(free_port()) for _ in range(2)]

    def started(self, port: int, *more: str) -> ServerProcess:
        """One more, which may not be ready yet."""
        folder = self._folder / f"{port}-{time.monotonic_ns()}"
        folder.mkdir()
        return ServerProcess(
            [*self._arguments, "--port", str(port), *more], folder, {"ANTIPHON_API_KEY": KEY}
        )

    def restart(self, place: int, number: signal.Signals) -> int:
        """End one as the signal does, and start another on its port; the exit code of the first."""
        server = self.servers[place]
        port = port_of(server)
        server.signal_group(number)
        code = server.popen.wait(PATIENCE_S)
        self.servers[place] = self.started(port)
        self.servers[place].wait_until_ready()
        return code


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, cluster: Any, postgres: PostgresServer) -> Iterator[Pair]:
    """Both started at the same moment, on a cluster where nothing runs yet."""
    pair = Pair(tmp_path_factory.mktemp("pair"), cluster.address, postgres.new_database())
    try:
        for server in pair.servers:
            server.wait_until_ready()
        until(lambda: len(replica_processes()) == 2)  # Servers are ready with the first.
        yield pair
    finally:
        for server in pair.servers:
            server.signal_group(signal.SIGKILL)
            server.popen.wait()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[str]:
    """Where nginx answers."""
    with nginx(tmp_path_factory.mktemp("nginx"), [port_of(server) for server in pair.servers]) as origin:
        wait_for(origin)
        yield origin


def client_of(base_url: str) -> OpenAI:
    """A client that never asks again."""
    return OpenAI(base_url=base_url, api_key=KEY, max_retries=0, timeout=PATIENCE_S)


def stream(client: OpenAI, tokens: int, **options: Any) -> Any:
    """The chunks of an answer, always the same one."""
    return client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Tell a long story."}],
        max_completion_tokens=tokens,
        seed=7,
        stream=True,
        extra_body={"ignore_eos": True},
        **options,
    )


def text_of(chunks: Any) -> str:
    """What they say; they end in order."""
    heard = list(chunks)
    assert heard[-1].choices[0].finish_reason == "length"
    return "".join(chunk.choices[0].delta.content or "" for chunk in heard)


@contextmanager
def clients_talking(origin: str, expected: str, tokens: int) -> Iterator[tuple[list[str], list[int]]]:
    """Clients that stream without a pause; what went wrong, and how many answers each has had."""
    stop, failures, answered = threading.Event(), [], [0] * CLIENTS

    def talk(place: int) -> None:
        with client_of(f"{origin}/v1") as client:
            while not stop.is_set():
                try:
                    assert text_of(stream(client, tokens)) == expected
                    answered[place] += 1
                except Exception as error:  # noqa: BLE001 - every failure is one, whatever its kind
                    failures.append(repr(error))

    threads = [threading.Thread(target=talk, args=(place,)) for place in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield failures, answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def until(true: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def until_more(answered: list[int]) -> None:
    """Wait until every client has had another answer."""
    before = list(answered)
    until(lambda: all(now > then for now, then in zip(answered, before, strict=True)))


def test_both_servers_use_the_same_engines_and_find_what_either_stored(pair: Pair) -> None:
    """Though they were started at once: each engine was deployed once, and answers alike for both."""
    assert len(replica_processes()) == 2
    texts, ids = [], []
    for server in pair.servers:
        with client_of(server.base_url) as client:
            chunks = list(stream(client, 12, store=True))
            ids.append(chunks[0].id)
            texts.append(text_of(chunks))
    assert texts[0] == texts[1]
    for server in pair.servers:
        with client_of(server.base_url) as client:
            assert [client.chat.completions.retrieve(id).id for id in ids] == ids


def test_restart_of_either_server_fails_no_stream_and_keeps_the_engines(origin: str, pair: Pair) -> None:
    """What the one that ends was streaming is streamed to its end; the other never notices."""
    engines = set(replica_processes())
    with client_of(f"{origin}/v1") as client:
        expected = text_of(stream(client, 12))
    with clients_talking(origin, expected, 12) as (failures, answered):
        for place in range(2):
            with client_of(pair.servers[place].base_url) as client:
                long = stream(client, 60)
                first = next(long)
                assert pair.restart(place, signal.SIGTERM) == 0
                assert text_of([first, *long]).startswith(expected)
            until_more(answered)

    assert failures == []
    assert set(replica_processes()) == engines


def test_killed_server_takes_neither_the_engines_nor_the_other_along(pair: Pair) -> None:
    """The other's stream goes on to its end while it is killed and comes back."""
    engines = set(replica_processes())
    with client_of(pair.servers[1].base_url) as client:
        long = stream(client, 60)
        first = next(long)
        pair.restart(0, signal.SIGKILL)
        text_of([first, *long])
    with client_of(pair.servers[0].base_url) as client:
        text_of(stream(client, 12))

    assert set(replica_processes()) == engines


def test_server_with_other_options_is_refused_by_their_names(pair: Pair) -> None:
    """It starts no engines of its own, and leaves those that run alone."""
    engines = set(replica_processes())
    other = pair.started(free_port(), "--kv-cache-mib", "128")

    assert other.popen.wait(PATIENCE_S) == 1
    assert "run with kv_cache_mib=256; this server was given kv_cache_mib=128" in other.stderr
    assert "Traceback" not in other.stderr
    assert set(replica_processes()) == engines


def test_keys_are_in_no_log_of_the_cluster(pair: Pair, cluster: Any) -> None:
    """Nor in the servers' own."""
    logs = [
        path for path in Path(cluster.head_node.get_session_dir_path(), "logs").rglob("*") if path.is_file()
    ]
    assert logs
    assert [path.name for path in logs if KEY.encode() in path.read_bytes()] == []
    assert [server for server in pair.servers if KEY in server.stderr + server.stdout] == []


def server_on(cluster: Any, folder: Path) -> AbstractContextManager[ServerProcess]:
    """A server with the one engine of a cluster."""
    where = ["--engine", "ray", "--ray-address", cluster.address, "--store", "off"]
    size = ["--threads", "1", "--kv-cache-mib", "256", "--drain-s", "1"]
    return server_process.running(folder, *where, *size, ANTIPHON_API_KEY=KEY)


def is_ready(server: ServerProcess) -> bool:
    """As whatever sends requests to it is told."""
    return httpx.get(f"{server.origin}/health/ready").status_code == 200


def kill_nodes(cluster: Any) -> None:
    """As when their machines lose power."""
    for node in cluster.list_all_nodes():
        node.kill_all_processes(check_alive=False, allow_graceful=False)


def test_server_whose_cluster_is_gone_ends_in_order(tmp_path: Path) -> None:
    """Its stream ends with an error when the drain time is over, and the process without one."""
    with running(0, head_cpus=1) as cluster, server_on(cluster, tmp_path) as server:
        with client_of(server.base_url) as client:
            long = stream(client, 4000)
            next(long)
            kill_nodes(cluster)
            server.signal_group(signal.SIGTERM)
            with pytest.raises(APIError):
                list(long)
        assert server.popen.wait(PATIENCE_S) == 0, server.stderr


def test_server_joins_a_cluster_that_is_back_at_its_address(tmp_path: Path) -> None:
    """Whoever looks after the cluster need not think of the servers."""
    port = free_port()
    with (
        running(0, head_cpus=1, port=port) as cluster,
        server_on(cluster, tmp_path) as server,
        client_of(server.base_url) as client,
    ):
        before = text_of(stream(client, 20))
        kill_nodes(cluster)
        until(lambda: not is_ready(server))
        with running(0, head_cpus=1, port=port):
            until(lambda: is_ready(server))
            assert text_of(stream(client, 20)) == before
            server.signal_group(signal.SIGTERM)
            assert server.popen.wait(PATIENCE_S) == 0, server.stderr
