"""What was acknowledged survives `kill -9` at any moment.

Clients store, relabel and delete, and write down what the server acknowledged. The server's whole
process group is killed at a random moment, started again, and asked for everything.
"""

import contextlib
import json
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import apsw
import httpx
import pytest
from openai import OpenAI

from tests.live.server_process import ServerProcess, running
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

URL = "/v1/chat/completions"
ROUNDS = 20
CLIENTS = 3
LONGEST_LOAD_S = 0.3


@dataclass
class Journal:
    """What one client knows of its completions: the metadata that was acknowledged last, by id."""

    kept: dict[str, dict[str, str]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    """A change of these was under way: it may have happened or not."""


def create(client: httpx.Client, label: str, *, streamed: bool) -> str:
    """Store an answer; its id, once the server acknowledged it.

    Raises:
        httpx.HTTPError: it did not, as far as anybody can tell.
    """
    message = {"role": "user", "content": f"Round {label}"}
    body = {"model": "fake", "messages": [message], "store": True, "metadata": {"n": label}}
    answer = client.post(URL, json={**body, "stream": streamed}).raise_for_status().text
    if streamed and not answer.endswith("data: [DONE]\n\n"):
        raise httpx.RemoteProtocolError("The stream was cut.")
    first = answer.splitlines()[0].removeprefix("data: ")
    return str(json.loads(first)["id"])


def act(client: httpx.Client, journal: Journal, chance: random.Random, label: str) -> None:
    """One random request; the journal is written when it is acknowledged."""
    known = [id for id in journal.kept if id not in journal.unsure]
    if len(known) < 4 or chance.random() < 0.5:
        journal.kept[create(client, label, streamed=chance.random() < 0.5)] = {"n": label}
        return
    id = chance.choice(known)
    journal.unsure.add(id)
    if chance.random() < 0.5:
        client.post(f"{URL}/{id}", json={"metadata": {"n": label}}).raise_for_status()
        journal.kept[id] = {"n": label}
    else:
        client.delete(f"{URL}/{id}").raise_for_status()
        journal.deleted.add(id)
        del journal.kept[id]
    journal.unsure.discard(id)


def load(origin: str, journal: Journal, seed: int) -> None:
    """Act until the server is gone."""
    chance = random.Random(seed)
    with httpx.Client(base_url=origin, timeout=10) as client, contextlib.suppress(httpx.TransportError):
        for number in range(100_000):
            act(client, journal, chance, f"{seed}.{number}")


def kill_under_load(server: ServerProcess, journals: list[Journal], seed: int) -> None:
    """Let the clients act for a random time, then kill the server."""
    clients = [
        threading.Thread(target=load, args=(server.origin, journal, seed * CLIENTS + place))
        for place, journal in enumerate(journals)
    ]
    for client in clients:
        client.start()
    time.sleep(random.Random(seed).uniform(0, LONGEST_LOAD_S))
    server.signal_group(signal.SIGKILL)
    for client in clients:
        client.join()
    server.popen.wait()


def check(server: ServerProcess, journals: list[Journal]) -> None:
    """Everything acknowledged is there, and what was deleted is not; the journals are sure again."""
    with OpenAI(base_url=server.base_url, api_key="any") as client:
        found = {each.id: each.to_dict()["metadata"] for each in client.chat.completions.list(limit=100)}
    for journal in journals:
        sure = {id: metadata for id, metadata in journal.kept.items() if id not in journal.unsure}
        assert {id: found.get(id) for id in sure} == sure
        assert not journal.deleted & found.keys()
        for id in journal.unsure:
            if id in found:
                sure[id] = cast(dict[str, str], found[id])
            else:
                journal.deleted.add(id)
        journal.kept = sure
        journal.unsure.clear()


def test_acknowledged_completions_survive_kills(tmp_path: Path) -> None:
    """Round after round on one file, which stays sound."""
    file = tmp_path / "completions.db"
    kill_round_after_round(tmp_path, str(file), ROUNDS)

    connection = apsw.Connection(str(file))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def test_acknowledged_completions_survive_kills_of_the_database_too(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """PostgreSQL goes down with the server each time, and recovers."""

    def crash() -> None:
        postgres.stop()
        postgres.start()

    kill_round_after_round(tmp_path, postgres.new_database(), ROUNDS // 4, crash)


def kill_round_after_round(
    folder: Path, store: str, rounds: int, crash: Callable[[], None] = lambda: None
) -> None:
    """Kill the server under load, crash what else there is, and check, so many times."""
    journals = [Journal() for _ in range(CLIENTS)]
    for seed in range(rounds):
        with running(folder / str(seed), "--engine", "fake", "--store", store) as server:
            check(server, journals)
            kill_under_load(server, journals, seed)
        crash()

    with running(folder / "last", "--engine", "fake", "--store", store) as server:
        check(server, journals)
    assert sum(len(journal.kept) for journal in journals) > rounds
