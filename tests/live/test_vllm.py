"""`antiphon serve --engine vllm`: the same API, with vLLM's CPU build in the engine process."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import httpx
import jsonschema
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionFunctionToolParam

from tests.live.server_process import ServerProcess, running

pytest.importorskip("vllm")

pytestmark = [pytest.mark.vllm, pytest.mark.live, pytest.mark.model, pytest.mark.timeout(600)]

MODEL = "gpt-4o-mini"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "maximum": 150}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server in a small context, so that it starts fast."""
    arguments = ["--engine", "vllm", "--kv-cache-mib", "512", "--vllm-arg", "enforce_eager=true"]
    with running(tmp_path_factory.mktemp("vllm"), *arguments, "--vllm-arg", "max-model-len=2048") as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[OpenAI]:
    """The official client; it does not retry."""
    with OpenAI(base_url=server.base_url, api_key="any", max_retries=0, timeout=120) as client:
        yield client


def test_stream_is_the_whole_answer(client: OpenAI) -> None:
    """Piece by piece the same text, with usage at its end."""
    whole = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hi"}], seed=5, max_completion_tokens=20
    )
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Hi"}],
            seed=5,
            max_completion_tokens=20,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

    assert text == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_schema_holds_and_logprobs_are_of_free_text(client: OpenAI) -> None:
    """Two choices, each valid; scores of tokens that the mask forced may be low, and are finite."""
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Describe a person."}],
        n=2,
        seed=1,
        max_completion_tokens=200,
        logprobs=True,
        top_logprobs=2,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "person", "strict": True, "schema": SCHEMA},
        },
    )

    for choice in completion.choices:
        jsonschema.validate(json.loads(choice.message.content or ""), SCHEMA)
        assert choice.logprobs is not None
        entries = choice.logprobs.content or []
        assert b"".join(bytes(entry.bytes or []) for entry in entries).decode() == choice.message.content
        assert all(-100 < entry.logprob <= 0 for entry in entries)
        assert min(entry.logprob for entry in entries) < -1


def test_object_with_free_names_has_none_twice(client: OpenAI) -> None:
    """At a high temperature names would repeat soon."""
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "JSON, please."}],
        n=4,
        seed=2,
        temperature=1.5,
        max_completion_tokens=120,
        response_format={"type": "json_object"},
    )

    for choice in completion.choices:
        if choice.finish_reason == "stop":
            objects: list[list[str]] = []

            def note(pairs: list[tuple[str, object]], to: list[list[str]] = objects) -> None:
                to.append([name for name, _ in pairs])

            json.loads(choice.message.content or "", object_pairs_hook=note)
            assert [len(set(names)) for names in objects] == [len(names) for names in objects]


def test_required_tool_is_called(client: OpenAI) -> None:
    """With arguments that its schema allows."""
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "The weather in Rome?"}],
        tools=[WEATHER],
        tool_choice="required",
        max_completion_tokens=120,
    )
    (call, *_) = completion.choices[0].message.tool_calls or []

    assert call.type == "function"
    assert json.loads(call.function.arguments)["city"] in ("Paris", "Rome")


def test_stop_strings_and_bias(client: OpenAI) -> None:
    """Text ends before a stop string, which choices need not share."""
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Count to ten."}],
        stop=[" ", "\n"],
        n=2,
        max_completion_tokens=30,
    )

    assert all(" " not in (choice.message.content or "") for choice in completion.choices)


def test_end_of_its_workers_is_told_and_mended(server: ServerProcess) -> None:
    """A killed worker of vLLM's: the stream ends in an error, and soon another engine answers."""
    with OpenAI(base_url=server.base_url, api_key="any", max_retries=0, timeout=120) as client:
        stream = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "A long story."}],
            stream=True,
            max_completion_tokens=1500,
            extra_body={"ignore_eos": True},
        )
        next(iter(stream))
        for pid in children(server.popen.pid):
            if "EngineCore" in name_of(pid):
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
    deadline = time.monotonic() + 400
    while httpx.get(f"{server.origin}/health/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.5)


def children(pid: int) -> list[int]:
    """A process's descendants."""
    listing = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listing.stdout.splitlines()]
    found: list[int] = []
    parents = {pid}
    while parents:
        parents = {child for child, parent in pairs if parent in parents}
        found += parents
    return found


def name_of(pid: int) -> str:
    """A process's command line."""
    told = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return told.stdout
