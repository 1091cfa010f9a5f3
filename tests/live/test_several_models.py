"""Several models in one server process: real tiny ones that come and go, and one whose engine dies."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.live.command import antiphon
from tests.live.server_process import ServerProcess, running
from tests.tiny_models import TinyModel, write_tiny_model

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

SPARE_KIB = 64 << 10
"""A server's own memory may differ by so much after some rounds; an engine takes several times as much."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a settings file of two tiny models."""
    folder = tmp_path_factory.mktemp("several")
    write_tiny_model(folder / "one.gguf", TinyModel("llama", context_length=4096))
    write_tiny_model(folder / "other.gguf", TinyModel("qwen2", context_length=4096))
    (folder / "antiphon.toml").write_text(
        f"""
        kv_cache_mib = 16
        [models.one]
        model = "{folder / "one.gguf"}"
        [models.other]
        model = "{folder / "other.gguf"}"
        alias = ["second"]
        max_tokens = 5
        """
    )
    return folder


@pytest.fixture
def narrow(tiny: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of both, with room for one."""
    with _of_both(tiny, tmp_path, "--max-loaded-models", "1") as server:
        yield server


@pytest.fixture
def short_of_memory(tiny: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of both, with memory for one: each counts with its KV cache and 512 MiB."""
    with _of_both(tiny, tmp_path, "--memory-mib", "900") as server:
        yield server


@contextmanager
def _of_both(tiny: Path, tmp_path: Path, *arguments: str) -> Iterator[ServerProcess]:
    arguments = ("--config", str(tiny / "antiphon.toml"), *arguments)
    with running(tmp_path, *arguments, XDG_CACHE_HOME=str(tiny), XDG_RUNTIME_DIR=str(tmp_path)) as server:
        yield server


def client_of(server: ServerProcess) -> OpenAI:
    """To be closed."""
    return OpenAI(base_url=server.base_url, api_key="any", max_retries=0, timeout=120)


def ask(client: OpenAI, model: str, **fields: Any) -> Any:
    """A greedy answer of this model, which ends by its length alone."""
    return client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Hello"}],
        temperature=0,
        extra_body={"ignore_eos": True},
        **fields,
    )


def states(server: ServerProcess) -> Any:
    """How each model is."""
    return httpx.get(f"{server.origin}/health").json()["models"]


def memory_kib(pid: int) -> int:
    """What a process holds in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.mark.slow
def test_two_models_take_turns_in_memory(narrow: ServerProcess) -> None:
    """Each answers as before when it comes back; what is unloaded is gone, and the server does not grow."""
    assert states(narrow) == {"one": "ready", "other": "unloaded"}
    with client_of(narrow) as client:
        first = {model: ask(client, model, max_tokens=4) for model in ("one", "other")}
        before = memory_kib(narrow.popen.pid)
        again = {name: ask(client, name, max_tokens=4) for name in ("one", "second")}
        assert len(narrow.engines()) == 1
        assert memory_kib(narrow.popen.pid) < before + SPARE_KIB
        bounded = ask(client, "other")
    series = httpx.get(f"{narrow.base_url}/antiphon/stats").json()["series"]

    for name, was in (("one", first["one"]), ("second", first["other"])):
        assert again[name].choices[0].message.content == was.choices[0].message.content
        assert again[name].system_fingerprint == was.system_fingerprint
    assert first["one"].system_fingerprint != first["other"].system_fingerprint
    assert bounded.usage.completion_tokens == 5
    assert states(narrow) == {"one": "unloaded", "other": "ready"}
    assert series["antiphon_model_loads_total"] == [[{"model": "one"}, 2], [{"model": "other"}, 2]]
    assert "model other: loaded in " in narrow.stderr
    assert "model one: unloaded (room for other)" in narrow.stderr
    assert "model=other status=200" in narrow.stderr


@pytest.mark.slow
def test_requests_for_both_at_once_are_all_answered(short_of_memory: ServerProcess) -> None:
    """Whoever has to wait for its model gets its answer, where memory is what is short."""
    answers: list[tuple[str, int]] = []

    def stream(model: str) -> None:
        with client_of(short_of_memory) as client:
            wanted = {"stream": True, "stream_options": {"include_usage": True}}
            *_, last = ask(client, model, max_tokens=40, **wanted)
        answers.append((model, last.usage.completion_tokens))

    threads = [threading.Thread(target=stream, args=(model,)) for model in ("other", "one", "other", "one")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [("one", 40), ("one", 40), ("other", 40), ("other", 40)]
    assert len(short_of_memory.engines()) == 1


@pytest.mark.slow
def test_engine_that_dies_takes_its_own_requests_only(tiny: Path, tmp_path: Path) -> None:
    """The other model goes on, the server stays ready; `ps` tells of each; the end leaves nobody."""
    environment = {"XDG_CACHE_HOME": str(tiny), "XDG_RUNTIME_DIR": str(tmp_path)}
    arguments = ("--config", str(tiny / "antiphon.toml"))
    with running(tmp_path, *arguments, **environment) as server, client_of(server) as client:
        (one,) = server.engines()
        ask(client, "other", max_tokens=1)
        listed = antiphon(tmp_path, "ps", "--json")
        with (
            ask(client, "one", max_tokens=3000, stream=True) as lost,
            ask(client, "other", max_tokens=1000, stream=True) as kept,
        ):
            next(lost), next(kept)
            os.kill(one, signal.SIGKILL)
            with pytest.raises(openai.APIError):
                list(lost)
            assert [chunk.choices[0].finish_reason for chunk in kept][-1] == "length"
        assert httpx.get(f"{server.origin}/health/ready").status_code == 200
        assert states(server)["other"] == "ready"
        os.kill(server.popen.pid, signal.SIGTERM)
        assert server.popen.wait(60) == 0
        assert server.group() == []

    assert json.loads(listed.stdout)[0]["models"] == {"one": "ready", "other": "ready"}
