"""`antiphon serve --engine ray`: the same API, answered by real replicas."""

import time
from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.live.server_process import ServerProcess, running
from tests.ray_cluster import kill, replica_processes

pytest.importorskip("ray")

pytestmark = [pytest.mark.ray, pytest.mark.live, pytest.mark.model, pytest.mark.timeout(400)]

MODEL = "gpt-4o-mini"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Two replicas with a core each."""
    folder = tmp_path_factory.mktemp("ray")
    with running(folder, "--engine", "ray", "--replicas", "2", "--kv-cache-mib", "256") as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[OpenAI]:
    """The official client; it may send again what a lost replica failed."""
    with OpenAI(base_url=server.base_url, api_key="any", max_retries=4, timeout=120) as client:
        yield client


def ask(client: OpenAI, text: str, **options: object) -> str:
    """One short answer."""
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": text}],
        max_completion_tokens=12,
        **options,  # type: ignore[call-overload]
    )
    return str(completion.choices[0].message.content)


def test_stream_is_the_same_answer_as_the_whole(client: OpenAI) -> None:
    """On whichever replica each is generated."""
    whole = [ask(client, f"Story {i % 2}", seed=5) for i in range(6)]
    assert whole[:2] * 3 == whole
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Story 0"}],
        max_completion_tokens=12,
        seed=5,
        stream=True,
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == whole[0]


def test_schema_holds(client: OpenAI) -> None:
    """Compiled and kept where the tokens are drawn."""
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "A person?"}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "person", "schema": SCHEMA, "strict": True},
        },
        n=2,
    )
    assert all((choice.message.content or "").startswith('{"name":"') for choice in completion.choices)


def test_prompts_go_where_their_beginning_is_cached(client: OpenAI) -> None:
    """Every later turn of each conversation finds its beginning, whatever came between."""
    cached = []
    for turn in range(3):
        for talk in range(4):
            text = f"Talk {talk}. " + "All the birds of the forest sang. " * 40
            completion = client.chat.completions.create(
                model=MODEL,
                messages=[
                    {"role": "system", "content": text},
                    {"role": "user", "content": f"Turn {turn}"},
                ],
                max_completion_tokens=2,
            )
            assert completion.usage is not None
            assert completion.usage.prompt_tokens_details is not None
            cached.append(completion.usage.prompt_tokens_details.cached_tokens or 0)

    assert min(cached[4:]) >= 256


def test_answers_go_on_when_replicas_are_killed(client: OpenAI) -> None:
    """One dies with what it generates; the client's own retries find the other."""
    before = ask(client, "Hello", seed=1)
    deadline = time.monotonic() + 120
    while len(replica_processes()) < 2 and time.monotonic() < deadline:  # It is ready with the first.
        time.sleep(0.2)
    kill(replica_processes()[:1])

    assert [ask(client, "Hello", seed=1) for _ in range(6)] == [before] * 6
