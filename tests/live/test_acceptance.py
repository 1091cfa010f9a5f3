"""What an independent client would check first, on the wire: framing, stops, schemas, log probabilities.

The fake engine's tokens are single bytes and its words are of several scripts, so a character or a
stop string is always spread over tokens there. Where the model matters, it is the real one.
"""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jsonschema
import pytest
from openai import OpenAI

from antiphon.api.wire.fields import FIELDS
from tests.live.server_process import ServerProcess

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

HELLO: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}


@pytest.fixture(scope="module")
def fake(fake_server: ServerProcess) -> Iterator[httpx.Client]:
    """A connection to the fake engine's server."""
    with httpx.Client(base_url=fake_server.base_url, timeout=60) as client:
        yield client


def ask(http: httpx.Client, **fields: Any) -> dict[str, Any]:
    """A whole answer."""
    answer = http.post("/chat/completions", json=HELLO | fields)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def chunks_of(http: httpx.Client, **fields: Any) -> list[dict[str, Any]]:
    """The chunks of a streamed answer, whose framing is checked on the way."""
    answer = http.post("/chat/completions", json=HELLO | fields | {"stream": True})
    assert answer.status_code == 200, answer.text
    # Bytes: each event must be text of its own.
    events = [event.decode() for event in answer.content.split(b"\n\n")]
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


def texts_of(chunks: list[dict[str, Any]], choices: int) -> list[str]:
    """The text of each choice."""
    texts = [""] * choices
    for chunk in chunks:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
    return texts


@pytest.mark.parametrize(
    ("target", "body", "media_type", "status"),
    [
        ("POST /chat/completions", HELLO, "application/json", 200),
        ("POST /chat/completions", HELLO | {"stream": True}, "application/json", 200),
        ("POST /chat/completions", HELLO | {"n": 0}, "application/json", 400),
        ("POST /chat/completions", HELLO | {"n": 0, "stream": True}, "application/json", 400),
        ("POST /chat/completions", HELLO | {"model": "gpt-5"}, "application/json", 404),
        ("POST /nowhere", HELLO, "application/json", 404),
        ("DELETE /models", None, "application/json", 405),
        ("POST /chat/completions", "x" * (5 << 20), "application/json", 413),
        ("POST /chat/completions", HELLO, "text/plain", 415),
    ],
)
def test_every_answer_has_its_headers(
    fake: httpx.Client, target: str, body: object, media_type: str, status: int
) -> None:
    """Id, time and version of the API; an error is JSON in the envelope, for a stream too."""
    method, path = target.split()
    answer = fake.request(method, path, content=json.dumps(body), headers={"content-type": media_type})

    assert answer.status_code == status
    assert re.fullmatch("req_[0-9a-f]{32}", answer.headers["x-request-id"])
    assert answer.headers["openai-processing-ms"].isdigit()
    assert answer.headers["openai-version"] == "2020-10-01"
    if status != 200:
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("usage", [False, True])
def test_stream_has_one_role_and_one_end_for_each_choice(fake: httpx.Client, usage: bool) -> None:
    """Constant ids, usage in the last chunk alone and only when asked for, no split character."""
    options = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = chunks_of(fake, n=3, seed=5, **options)

    assert len({(chunk["id"], chunk["created"], chunk["system_fingerprint"]) for chunk in chunks}) == 1
    ended = chunks[:-1] if usage else chunks
    choices = [choice for chunk in ended for choice in chunk["choices"]]
    for index in range(3):
        mine = [choice for choice in choices if choice["index"] == index]
        assert [choice["delta"].get("role") for choice in mine] == ["assistant"] + [None] * (len(mine) - 1)
        assert [choice["finish_reason"] for choice in mine] == [None] * (len(mine) - 1) + ["stop"]
        assert mine[-1]["delta"] == {}
    if usage:
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["completion_tokens"] > 0
        assert all(chunk["usage"] is None for chunk in ended)
    else:
        assert all("usage" not in chunk for chunk in chunks)
    whole = ask(fake, n=3, seed=5)
    assert texts_of(chunks, 3) == [choice["message"]["content"] for choice in whole["choices"]]


def test_stop_string_is_found_wherever_it_is(fake: httpx.Client) -> None:
    """At the start, inside a character's bytes, over tokens: cut off and never shown, streamed or not."""
    text: str = ask(fake, seed=11)["choices"][0]["message"]["content"]
    for start in range(0, len(text), 3):
        for length in (1, 4, 9):
            stop = text[start : start + length]
            options = {"seed": 11, "stop": [stop, "never said"]}
            whole = ask(fake, **options)["choices"][0]
            assert whole["message"]["content"] == text[: text.index(stop)]
            assert whole["finish_reason"] == "stop"
            assert texts_of(chunks_of(fake, **options), 1) == [whole["message"]["content"]]


@pytest.mark.parametrize("name", [field.name for field in FIELDS if not field.required])
def test_null_is_as_good_as_nothing(fake: httpx.Client, name: str) -> None:
    """For every field that need not be there."""
    assert ask(fake, seed=1, **({} if name == "seed" else {name: None}))["choices"]


def test_unknown_keys_inside_are_ignored(fake: httpx.Client) -> None:
    """In messages, parts, calls, tools and formats; at the top level they are named in a header."""
    extra: dict[str, Any] = {"x_unknown": [1, {"y": None}]}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}", **extra}, **extra}
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Hi", **extra}], **extra},
        {"role": "user", "content": "Hi", **extra},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [call | {"index": 0}],
            "annotations": [],
            **extra,
        },
        {"role": "tool", "tool_call_id": "c", "content": "1", **extra},
    ]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, **extra}, **extra}
    schema = {"name": "s", "schema": {"type": "object", "properties": {}}, **extra}
    answer = fake.post(
        "/chat/completions",
        json=HELLO
        | {"messages": messages, "tools": [tool], "tool_choice": "none", "stream_options": extra}
        | {"response_format": {"type": "json_schema", "json_schema": schema, **extra}, **extra},
    )

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-antiphon-ignored"] == "x_unknown"


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"tool_choice": {"type": "function", "function": {"name": "bare"}}}, ["bare"]),
        ({"tool_choice": "required", "parallel_tool_calls": False}, [None]),
        ({"tool_choice": "none"}, []),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": "bare"}}],
                    },
                },
                "parallel_tool_calls": False,
            },
            ["bare"],
        ),
    ],
)
def test_tool_choice_is_obeyed(fake: httpx.Client, fields: dict[str, Any], names: list[str | None]) -> None:
    """Whom it names is called; a function without parameters gets `{}`; whole and streamed alike."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("bare", "other")]
    for seed in range(5):
        message = ask(fake, tools=tools, seed=seed, **fields)["choices"][0]["message"]
        calls = message.get("tool_calls", [])
        assert len(calls) == len(names)
        for call, name in zip(calls, names, strict=True):
            assert call["function"]["name"] == name or (name is None and call["function"]["name"])
            assert call["function"]["arguments"] == "{}"


NESTED: dict[str, Any] = {"type": "integer"}
for _ in range(9):
    NESTED = {
        "type": "object",
        "properties": {"a": NESTED},
        "required": ["a"],
        "additionalProperties": False,
    }

ODD = {
    "type": "object",
    "properties": {
        "zebra": {"type": "string", "enum": ['say "ü"', "it's 東京", "back\\slash"]},
        "maybe": {"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]},
        "apple": {"type": "boolean"},
    },
    "required": ["apple", "maybe", "zebra"],
    "additionalProperties": False,
}


@pytest.mark.model
@pytest.mark.parametrize("schema", [ODD, NESTED], ids=["odd values", "ten levels"])
def test_strict_schema_holds_for_the_real_model(client: OpenAI, schema: dict[str, Any]) -> None:
    """Null, odd strings and depth; keys in the order of the schema, no white space."""
    ended = 0
    for seed in range(3):
        choice = client.chat.completions.create(
            **HELLO,
            seed=seed,
            max_completion_tokens=90,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": schema, "strict": True},
            },
        ).choices[0]
        text = choice.message.content or ""
        if choice.finish_reason == "length":
            continue
        ended += 1
        value = json.loads(text)
        jsonschema.validate(value, schema)
        assert list(value) == list(schema["properties"])
        assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert ended


@pytest.mark.model
def test_log_probabilities_are_those_of_every_token(client: OpenAI) -> None:
    """Bytes join to the content, one entry a token; numbers stay numbers where tokens are banned."""
    options: dict[str, Any] = HELLO | {"max_completion_tokens": 20, "logprobs": True, "top_logprobs": 5}
    banned = {str(token): -100 for token in range(200)}
    for fields in ({}, {"logit_bias": banned}, {"seed": 3, "temperature": 1.8}):
        raw = client.chat.completions.with_raw_response.create(**options, **fields)
        completion = raw.parse()
        choice = completion.choices[0]
        assert choice.logprobs is not None
        entries = choice.logprobs.content or []
        assert (
            bytes(byte for entry in entries for byte in entry.bytes or ()).decode() == choice.message.content
        )
        assert completion.usage is not None
        assert len(entries) == completion.usage.completion_tokens
        assert "NaN" not in raw.text
        assert "Infinity" not in raw.text
        assert all(-9999 <= entry.logprob <= 0 for entry in entries)


@pytest.mark.model
def test_seed_gives_the_same_alone_and_among_others(client: OpenAI) -> None:
    """While the engine's batch is full of other requests; and two choices of one request differ."""
    options: dict[str, Any] = HELLO | {"max_completion_tokens": 24, "seed": 42, "temperature": 1.2}

    def answer(**fields: Any) -> list[str | None]:
        completion = client.chat.completions.create(**options | fields)
        return [choice.message.content for choice in completion.choices]

    alone = answer()
    with ThreadPoolExecutor(8) as pool:
        others = [pool.submit(answer, seed=seed, max_completion_tokens=40) for seed in range(6)]
        among = pool.submit(answer).result()
        for other in others:
            other.result()
    first, second = answer(n=2)

    assert among == alone
    assert first != second
