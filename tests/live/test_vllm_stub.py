"""`antiphon serve --engine vllm --url`, with a server there that lies, refuses, dies or is another one.

What a real vLLM does is in `test_vllm_url`; here no answer may be delivered that breaks its schema,
whatever the server says, and what it cannot do is refused by name.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.free_port import free_port
from tests.live.command import antiphon
from tests.live.server_process import ServerProcess, running
from tests.live.vllm_api import MODEL, SCHEMA, held
from tests.tiny_models import write_tiny_model
from tests.vllm_stub import VllmStub, stub_of_default_model

pytestmark = [pytest.mark.live, pytest.mark.model]

HELD: dict[str, Any] = {"response_format": held(SCHEMA)}
FREE: dict[str, Any] = {"response_format": {"type": "json_object"}}
TOOL: dict[str, Any] = {
    "tools": [{"type": "function", "function": {"name": "note", "parameters": SCHEMA}}],
    "tool_choice": "required",
}
NAMED = {"tools": TOOL["tools"], "tool_choice": {"type": "function", "function": {"name": "note"}}}
GOOD = '{"name":"Ada","age":36}'
CALLED = '<tool_call>\n{"name": "note", "arguments": %s}\n</tool_call>'

Alter = Callable[..., VllmStub]


@pytest.fixture(scope="module")
def shared() -> VllmStub:
    """One for all tests, each of which says what it is like."""
    return stub_of_default_model()


@pytest.fixture(scope="module")
def listening(shared: VllmStub) -> Iterator[VllmStub]:
    """There."""
    with shared.listening():
        yield shared


@pytest.fixture(scope="module")
def front(listening: VllmStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The API in front of it."""
    arguments = ["--engine", "vllm", "--url", listening.url]
    with running(tmp_path_factory.mktemp("vllm_stub"), *arguments) as process:
        yield process


@pytest.fixture
def alter(listening: VllmStub, monkeypatch: pytest.MonkeyPatch) -> Alter:
    """Change what it is like, for one test."""

    def change(**changes: Any) -> VllmStub:
        for name, value in changes.items():
            monkeypatch.setattr(listening, name, value)
        return listening

    return change


@pytest.fixture
def client(front: ServerProcess) -> Iterator[OpenAI]:
    """The official client; it does not retry."""
    with OpenAI(base_url=front.base_url, api_key="any", max_retries=0, timeout=30) as client:
        yield client


def ask(client: OpenAI, **changes: Any) -> Any:
    """A short question."""
    return client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Who?"}], **changes
    )


def test_honest_answer_is_delivered(client: OpenAI, alter: Alter) -> None:
    """Text, an object, a call."""
    alter(say=lambda body: GOOD)
    assert ask(client, **HELD).choices[0].message.content == GOOD
    assert ask(client, **FREE, n=2).choices[1].message.content == GOOD
    alter(say=lambda body: CALLED % GOOD)
    (call,) = ask(client, **TOOL).choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == json.loads(GOOD)
    alter(say=lambda body: "Ada.")
    assert ask(client).choices[0].message.content == "Ada."


def test_text_that_unicode_breaks_into_lines_is_delivered(client: OpenAI, alter: Alter) -> None:
    """A server's events are lines; these are no ends of lines, though Python's `splitlines` says so."""
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    alter(say=lambda body: text)

    assert ask(client).choices[0].message.content == text


LIES = {
    "another type": (HELD, '{"name":"Ada","age":"36"}'),
    "a value out of bounds": (HELD, '{"name":"Ada","age":151}'),
    "a text too long": (HELD, '{"name":"Ada, Countess of Lovelace","age":36}'),
    "a name left out": (HELD, '{"name":"Ada"}'),
    "a name too many": (HELD, '{"name":"Ada","age":36,"town":"London"}'),
    "an end in between": (HELD, '{"name":"Ada"'),
    "no JSON": (HELD, "Ada, who is 36."),
    "nothing": (HELD, ""),
    "one name twice": (FREE, '{"a":1,"a":2}'),
    "one name twice, in escapes": (FREE, '{"a":1,"\\u0061":2}'),
    "one name twice, deep inside": (FREE, '{"b":[{"a":1,"a":2}]}'),
    "no object": (FREE, "[1]"),
    "no call": (TOOL, "Ada."),
    "a call of nothing known": (TOOL, '<tool_call>\n{"name": "sing", "arguments": {}}\n</tool_call>'),
    "arguments that are wrong": (TOOL, CALLED % '{"name":"Ada","age":1.5}'),
    "arguments of a named tool": (NAMED, '{"name":7,"age":1}'),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("asked", "lie"), LIES.values(), ids=LIES)
def test_broken_schema_is_never_a_success(
    client: OpenAI, alter: Alter, asked: dict[str, Any], lie: str, streamed: bool
) -> None:
    """The server seems to hold the grammar, and then does not: an error, and no reason to finish."""
    honest = GOOD if asked in (HELD, FREE) else CALLED % GOOD
    alter(say=lambda body: honest if body["request_id"].startswith("probe") else lie)
    if not streamed:
        with pytest.raises(openai.InternalServerError):
            ask(client, **asked)
        return
    reasons: list[str | None] = []
    chunks = iter(ask(client, **asked, stream=True))
    with pytest.raises(openai.APIError):
        reasons.extend(choice.finish_reason for chunk in chunks for choice in chunk.choices)

    assert set(reasons) <= {None}


def test_one_choice_that_lies_fails_them_all(client: OpenAI, alter: Alter) -> None:
    """The first is right, the second is not."""
    seen: list[int] = []

    def say(body: dict[str, Any]) -> str:
        seen.append(body["seed"]) if "seed" in body else None
        return GOOD if len(seen) < 2 else '{"name":1,"age":1}'

    alter(say=say)
    with pytest.raises(openai.InternalServerError):
        ask(client, **HELD, n=2)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_grammar_the_server_refuses_is_refused_before_the_answer(
    client: OpenAI, alter: Alter, streamed: bool
) -> None:
    """By name, and it is asked once."""
    schema = {"type": "object", "properties": {"town": {"enum": ["Rome", streamed]}}, "required": ["town"]}
    town = held(schema | {"additionalProperties": False})
    stub = alter(refuse=lambda body: "town" in json.dumps(body.get("structured_outputs")))
    stub.asked.clear()
    for _ in range(2):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, response_format=town, stream=streamed)
        assert refused.value.param == "response_format"
        assert "the vLLM server of this engine refuses it" in refused.value.message

    assert sum("town" in json.dumps(body.get("structured_outputs")) for body in stub.asked) == 1


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"logprobs": True, "top_logprobs": 2} | HELD, "logprobs"),
        ({"extra_body": {"min_tokens": 5}} | HELD, "min_tokens"),
    ],
)
def test_what_a_server_cannot_do_exactly_is_refused_by_name(
    client: OpenAI, alter: Alter, changes: dict[str, Any], param: str
) -> None:
    """Though it holds the schema, which is remembered."""
    alter(say=lambda body: GOOD)
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, **changes)

    assert refused.value.param == param


def test_server_that_dies_is_told_and_found_again(tmp_path: Path) -> None:
    """Meanwhile 503 with a time to come back; another vocabulary in its place is not served."""
    stub = stub_of_default_model()
    arguments = ["--engine", "vllm", "--url", stub.url]
    with stub.listening():
        server = running(tmp_path, *arguments)
        front = server.__enter__()
    try:
        with OpenAI(base_url=front.base_url, api_key="any", max_retries=0, timeout=30) as client:
            with pytest.raises(openai.InternalServerError) as gone:
                ask(client)
            assert gone.value.status_code == 503
            assert "retry-after" in gone.value.response.headers
            wait_for(front, 503)
            with stub.listening():
                wait_for(front, 200)
                assert ask(client).choices[0].message.content == "Yes."
                before = ask(client).system_fingerprint
            wait_for(front, 503)
            stub.version = {"version": "0.33.0"}
            with stub.listening():
                wait_for(front, 200)
                assert ask(client).system_fingerprint != before
            wait_for(front, 503)
            decode = stub.decode
            stub.decode = lambda ids: decode([token + 1 for token in ids])
            with stub.listening():
                wait_until(lambda: "has another vocabulary than" in front.stderr)
                assert httpx.get(f"{front.origin}/health/ready").status_code == 503
    finally:
        server.__exit__(None, None, None)


def wait_for(front: ServerProcess, status: int) -> None:
    """Until that is what its readiness says."""
    wait_until(lambda: httpx.get(f"{front.origin}/health/ready").status_code == status)


def wait_until(happened: Callable[[], bool]) -> None:
    """Or fail."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_server_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    """In a word that names it."""
    url = f"http://127.0.0.1:{free_port()}"
    tiny = write_tiny_model(tmp_path / "tiny.gguf")
    run = antiphon(tmp_path, "serve", "--port", "0", "--engine", "vllm", "--url", url, str(tiny))

    assert (run.returncode, run.stdout) == (1, "")
    assert f"{url} cannot be reached" in run.stderr
