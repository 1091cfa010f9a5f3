"""`antiphon serve --engine vllm --url`: the same API, with a real `vllm serve` behind it.

That server asks for a key, as one should that others can reach. Servers that lie, refuse or are no vLLM
are played in `test_vllm_stub`.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import platformdirs
import pytest
from openai import OpenAI

from antiphon.models.catalogue import DEFAULT_MODEL
from antiphon.models.folder import SAFETENSORS
from antiphon.models.prepare import prepare
from antiphon.models.progress import Silent
from tests import vllm_server
from tests.free_port import free_port
from tests.live.command import antiphon
from tests.live.server_process import ServerProcess, running
from tests.live.vllm_api import LONG, SCHEMA, VllmApi, ask, client, held, stream, texts
from tests.tiny_models import write_tiny_model

pytest.importorskip("vllm")

pytestmark = [pytest.mark.vllm, pytest.mark.live, pytest.mark.model, pytest.mark.timeout(1200)]

__all__ = ["client"]

KEY = "a-key-of-the-server"


class Backend:
    """A real `vllm serve` that can be killed, and started again where it was."""

    def __init__(self, folder: Path) -> None:
        """Not yet there."""
        self._folder = folder
        self._stack = ExitStack()
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it answers."""
        model = prepare(
            DEFAULT_MODEL, Path(platformdirs.user_cache_path("antiphon")), Silent(), form=SAFETENSORS
        )
        log = self._folder / f"log-{time.monotonic()}"
        self._stack.enter_context(vllm_server.running(model.folder, log, port=self.port, key=KEY))

    def kill(self) -> None:
        """At once."""
        self._stack.close()

    def running(self) -> int:
        """How many choices it works on, as its metrics say."""
        text = httpx.get(f"{self.url}/metrics").text
        return sum(
            int(float(value)) for value in re.findall(r"^vllm:num_requests_running\{.*\} (\S+)$", text, re.M)
        )


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A vLLM server that runs."""
    backend = Backend(tmp_path_factory.mktemp("vllm"))
    backend.start()
    yield backend
    backend.kill()


@pytest.fixture(scope="module")
def server(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The API in front of it."""
    arguments = ["--engine", "vllm", "--url", backend.url]
    with running(tmp_path_factory.mktemp("front"), *arguments, ANTIPHON_ENGINE_KEY=KEY) as process:
        yield process


class TestVllmByUrl(VllmApi):
    """And what is different, or can only happen, where it is a server of its own."""

    def check_free_names_failed(self, failed: openai.InternalServerError) -> None:
        """Its grammar allows a name twice; such an answer is found out."""
        assert failed.status_code == 503

    @pytest.mark.parametrize(
        ("changes", "param"),
        [({"logprobs": True}, "logprobs"), ({"extra_body": {"min_tokens": 5}}, "min_tokens")],
    )
    def test_what_it_cannot_do_with_a_schema_is_refused_by_name(
        self, client: OpenAI, changes: dict[str, Any], param: str
    ) -> None:
        """It scores behind its mask, and its minimum would break the grammar."""
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, response_format=held(SCHEMA), **changes)

        assert refused.value.param == param

    def test_cached_tokens_are_told(self, client: OpenAI) -> None:
        """vLLM tells them behind the last token, which is too late: none are told."""
        usages = [ask(client, LONG, max_completion_tokens=1).usage for _ in range(2)]
        details = [usage.prompt_tokens_details for usage in usages if usage]

        assert [each.cached_tokens for each in details if each] == [0, 0]

    def test_leaving_client_frees_the_server(self, client: OpenAI, backend: Backend) -> None:
        """Both choices of a stream that nobody reads any more."""
        answer = stream(client, n=2, max_completion_tokens=1800, extra_body={"ignore_eos": True})
        next(iter(answer))
        wait_for(lambda: backend.running() == 2)
        answer.close()
        wait_for(lambda: backend.running() == 0)

    def test_server_that_dies_is_told_and_found_again(
        self, client: OpenAI, server: ServerProcess, backend: Backend
    ) -> None:
        """A running stream ends in an error, others are told when to come back; then all is well."""
        before = ask(client, seed=1)
        answer = stream(client, max_completion_tokens=1800, extra_body={"ignore_eos": True})
        next(iter(answer))
        backend.kill()
        with pytest.raises(openai.APIError):
            list(answer)
        with pytest.raises(openai.InternalServerError) as refused:
            ask(client)
        assert refused.value.status_code == 503
        wait_for(lambda: httpx.get(f"{server.origin}/health/ready").status_code == 503)
        with pytest.raises(openai.InternalServerError) as refused:
            stream(client)
        assert "retry-after" in refused.value.response.headers

        backend.start()
        wait_for(lambda: httpx.get(f"{server.origin}/health/ready").status_code == 200)
        after = ask(client, seed=1)
        assert texts(after) == texts(before)
        assert after.system_fingerprint == before.system_fingerprint


def test_server_that_does_not_fit_is_an_error_at_the_start(backend: Backend, tmp_path: Path) -> None:
    """Another model than it serves; no key, or a wrong one. The log says what to do."""
    tiny = write_tiny_model(tmp_path / "tiny.gguf")
    common = ("serve", "--port", "0", "--engine", "vllm", "--url", backend.url)
    wrong = antiphon(tmp_path, *common, str(tiny), ANTIPHON_ENGINE_KEY=KEY)
    assert wrong.returncode == 1
    assert "has another vocabulary than" in wrong.stderr
    keyless = antiphon(tmp_path, *common, str(tiny))
    assert keyless.returncode == 1
    assert "wants a key: say it in ANTIPHON_ENGINE_KEY" in keyless.stderr
    keyed = antiphon(tmp_path, *common, str(tiny), ANTIPHON_ENGINE_KEY="another")
    assert keyed.returncode == 1
    assert "does not take the key" in keyed.stderr
    assert KEY not in wrong.stderr + keyless.stderr + keyed.stderr


def wait_for(happened: Callable[[], bool]) -> None:
    """Or fail."""
    deadline = time.monotonic() + 300
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)
