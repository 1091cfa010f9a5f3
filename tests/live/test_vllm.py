"""`antiphon serve --engine vllm`: the same API, with vLLM's CPU build in the engine process."""

import math
import os
import signal
import time
from collections.abc import Iterator

import httpx
import openai
import pytest
from openai import OpenAI

from tests.live.server_process import ServerProcess, running
from tests.live.vllm_api import MODEL, SCHEMA, VllmApi, ask, client, held

pytest.importorskip("vllm")

pytestmark = [pytest.mark.vllm, pytest.mark.live, pytest.mark.model, pytest.mark.timeout(1200)]

__all__ = ["client"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server in a small context, so that it starts fast."""
    arguments = ["--engine", "vllm", "--kv-cache-mib", "512", "--vllm-arg", "enforce_eager=true"]
    with running(tmp_path_factory.mktemp("vllm"), *arguments, "--vllm-arg", "max-model-len=2048") as process:
        yield process


class TestVllmInProcess(VllmApi):
    """And what only vLLM in this process can do."""

    def test_held_answers_are_scored(self, client: OpenAI) -> None:
        """By the raw distribution: scores of tokens that the mask forced may be low, and are finite."""
        completion = ask(
            client,
            "Describe a person.",
            seed=1,
            max_completion_tokens=200,
            logprobs=True,
            top_logprobs=2,
            response_format=held(SCHEMA),
        )
        (choice,) = completion.choices
        entries = (choice.logprobs and choice.logprobs.content) or []

        assert b"".join(bytes(entry.bytes or []) for entry in entries).decode() == choice.message.content
        assert all(math.isfinite(entry.logprob) and entry.logprob <= 0 for entry in entries)
        assert min(entry.logprob for entry in entries) < -1

    def test_held_answer_has_its_minimum(self, client: OpenAI) -> None:
        """The grammar's end is masked until then, where it lets the text go on."""
        completion = ask(
            client,
            seed=1,
            max_completion_tokens=60,
            extra_body={"min_tokens": 20, "structured_outputs": {"regex": "[a-z ]{1,400}"}},
        )

        assert completion.usage is not None
        assert completion.usage.completion_tokens >= 20

    def test_end_of_its_workers_is_told_and_mended(self, server: ServerProcess) -> None:
        """A killed worker of vLLM's: the stream ends in an error, and soon another engine answers."""
        with OpenAI(base_url=server.base_url, api_key="any", max_retries=0, timeout=300) as client:
            stream = client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": "A long story."}],
                stream=True,
                max_completion_tokens=1500,
                extra_body={"ignore_eos": True},
            )
            next(iter(stream))
            for pid, command in server.descendants().items():
                if "EngineCore" in command:
                    os.kill(pid, signal.SIGKILL)
            with pytest.raises(openai.APIError):
                list(stream)
            wait_until_ready(server)
            again = client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "Hello again."}], max_completion_tokens=8
            )
            assert again.usage is not None


def wait_until_ready(server: ServerProcess) -> None:
    """Until it says that it answers: vLLM takes its time to start."""
    deadline = time.monotonic() + 800
    while httpx.get(f"{server.origin}/health/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.5)
