"""Stored completions through the official Python client's own methods, on a server process."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from tests.live.server_process import ServerProcess, running
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.live

MODEL = "fake"
HELLO: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hello!"}]},
]


@pytest.fixture(params=["memory", "file", "database"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """A fake server with each kind of store, empty."""
    store: tuple[str, ...] = ()
    if request.param == "file":
        store = ("--store", str(tmp_path / "completions.db"))
    elif request.param == "database":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        store = ("--store", postgres.new_database())
    with running(tmp_path, "--engine", "fake", *store) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> OpenAI:
    """A client that does not retry."""
    return OpenAI(base_url=server.base_url, api_key="any", max_retries=0)


def create(client: OpenAI, **metadata: str) -> ChatCompletion:
    """Store a short answer."""
    return client.chat.completions.create(model=MODEL, messages=HELLO, store=True, metadata=metadata)


def test_completion_is_stored_found_changed_and_deleted(client: OpenAI) -> None:
    """A whole life, with every method of the client."""
    created = create(client, topic="birds")
    kept = client.chat.completions

    found = kept.retrieve(created.id)
    assert found.choices[0].message.content == created.choices[0].message.content
    assert found.usage == created.usage
    assert (found.created, found.system_fingerprint) == (created.created, created.system_fingerprint)
    assert found.to_dict()["metadata"] == {"topic": "birds"}

    changed = kept.update(created.id, metadata={"topic": "bees"})
    assert changed.to_dict()["metadata"] == {"topic": "bees"}
    assert [each.id for each in kept.list(metadata={"topic": "bees"})] == [created.id]
    assert [each.id for each in kept.list(metadata={"topic": "birds"})] == []

    messages = kept.messages.list(created.id).data
    assert [(each.id, each.role, each.content) for each in messages] == [
        (f"{created.id}-0", "system", "Be brief."),
        (f"{created.id}-1", "user", "Hello!"),
    ]
    assert messages[0].content_parts is None
    parts = messages[1].content_parts
    assert parts is not None
    assert [part.to_dict() for part in parts] == [{"type": "text", "text": "Hello!"}]

    assert kept.delete(created.id).deleted is True
    with pytest.raises(openai.NotFoundError, match=f"Chat completion with id '{created.id}' not found"):
        kept.retrieve(created.id)


def test_stored_answer_has_the_seed_that_repeats_it(client: OpenAI) -> None:
    """Drawn by the server, since the request named none."""
    created = create(client)
    seed = client.chat.completions.retrieve(created.id).to_dict()["seed"]
    assert isinstance(seed, int)
    again = client.chat.completions.create(model=MODEL, messages=HELLO, seed=seed)

    assert again.choices[0].message.content == created.choices[0].message.content


def test_stream_is_stored_as_if_it_were_whole(client: OpenAI) -> None:
    """All choices; under the id that its chunks have."""
    with client.chat.completions.create(
        model=MODEL, messages=HELLO, n=2, logprobs=True, stream=True, store=True
    ) as stream:
        chunks = list(stream)
    texts = ["", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""

    found = client.chat.completions.retrieve(chunks[0].id)
    assert [choice.message.content for choice in found.choices] == texts
    assert [choice.finish_reason for choice in found.choices] == ["stop", "stop"]
    assert all(choice.logprobs and choice.logprobs.content for choice in found.choices)
    assert found.usage is not None


def test_paging_finds_everything_in_both_orders(client: OpenAI) -> None:
    """The client asks for page after page by itself."""
    names = [create(client, place=str(place), half=str(place % 2)).id for place in range(7)]
    kept = client.chat.completions

    assert [each.id for each in kept.list(limit=3)] == names
    assert [each.id for each in kept.list(limit=2, order="desc")] == names[::-1]
    assert [each.id for each in kept.list(limit=1, metadata={"half": "1"})] == names[1::2]
    assert [each.id for each in kept.list(limit=2, after=names[2])] == names[3:]
    assert [each.id for each in kept.list(model="another")] == []
    assert [each.content for each in kept.messages.list(names[0], limit=1)] == ["Be brief.", "Hello!"]


def test_everything_can_be_deleted_while_it_is_listed(client: OpenAI) -> None:
    """The next page begins behind a completion that is gone by then."""
    for _ in range(5):
        create(client)
    for each in client.chat.completions.list(limit=2):
        client.chat.completions.delete(each.id)

    assert list(client.chat.completions.list()) == []


def test_second_server_on_the_same_file_says_why_it_does_not_start(tmp_path: Path) -> None:
    """One line, and the first goes on."""
    file = str(tmp_path / "completions.db")
    (tmp_path / "second").mkdir()
    with running(tmp_path, "--engine", "fake", "--store", file) as first:
        second = ServerProcess(["--engine", "fake", "--store", file], tmp_path / "second", {})
        assert second.popen.wait(20) == 1
        assert second.stderr.splitlines()[-1] == (
            f"antiphon: store: {file}: another server stores its completions there"
        )
        client = OpenAI(base_url=first.base_url, api_key="any")
        assert client.chat.completions.retrieve(create(client).id)


def test_switched_off_store_is_told_in_a_header(tmp_path: Path) -> None:
    """The answer is given all the same."""
    with running(tmp_path, "--engine", "fake", "--store", "off") as server:
        client = OpenAI(base_url=server.base_url, api_key="any")
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO, store=True)

    assert raw.headers["x-antiphon-ignored"] == "store"
