"""The official Python client against the real model: what users run, end to end."""

import json
from typing import Any, Literal

import jsonschema
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from tests.live.server_process import ServerProcess

pytestmark = [pytest.mark.live, pytest.mark.model, pytest.mark.timeout(300)]

MODEL = "gpt-4o-mini"
HELLO: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Hello! How are you today?"},
]


class Mood(BaseModel):
    """A small structured answer."""

    feeling: Literal["calm", "merry", "tired"]
    certain: bool


def test_create_answers_with_a_message(client: OpenAI) -> None:
    """The plain case: text, a finish reason, and a usage that adds up."""
    completion = client.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=30)

    assert completion.object == "chat.completion"
    assert completion.model == MODEL
    assert completion.choices[0].message.role == "assistant"
    assert completion.choices[0].message.content
    assert completion.usage is not None
    assert (
        completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    )


def test_length_limit_is_told_and_counted(client: OpenAI) -> None:
    """A budget of five tokens gives five tokens and the reason `length`."""
    completion = client.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=5)

    assert completion.choices[0].finish_reason == "length"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 5


def test_older_length_field_works_alike(client: OpenAI) -> None:
    """`max_tokens` is honoured."""
    completion = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=3)

    assert completion.usage is not None
    assert completion.usage.completion_tokens == 3


def test_stream_is_the_same_answer_as_the_whole(client: OpenAI) -> None:
    """Chunks begin with the role, end with a reason, and join to what the same seed gives whole."""
    options: dict[str, Any] = {"model": MODEL, "messages": HELLO, "max_completion_tokens": 30, "seed": 7}
    whole = client.chat.completions.create(**options)
    with client.chat.completions.create(**options, stream=True) as stream:
        chunks = list(stream)

    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    )
    assert len({chunk.id for chunk in chunks}) == 1


def test_seed_repeats_and_another_seed_differs(client: OpenAI) -> None:
    """Same request, same seed, same fingerprint: same text."""

    def answer(seed: int) -> tuple[str | None, str | None]:
        completion = client.chat.completions.create(
            model=MODEL, messages=HELLO, max_completion_tokens=24, seed=seed, temperature=1.5
        )
        return completion.choices[0].message.content, completion.system_fingerprint

    assert answer(1) == answer(1)
    assert answer(1) != answer(2)


def test_several_choices_are_numbered_and_counted_together(client: OpenAI) -> None:
    """`n` gives that many different choices; usage counts the prompt once."""
    one = client.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=8)
    three = client.chat.completions.create(
        model=MODEL, messages=HELLO, max_completion_tokens=8, n=3, temperature=1.5, seed=5
    )

    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in three.choices}) > 1
    assert one.usage is not None
    assert three.usage is not None
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert three.usage.completion_tokens <= 24


def test_stop_string_ends_the_answer_and_is_not_in_it(client: OpenAI) -> None:
    """Where a text of the answer is made a stop string, the answer ends before it."""
    options: dict[str, Any] = {
        "model": MODEL,
        "messages": HELLO,
        "temperature": 0,
        "max_completion_tokens": 30,
    }
    full = client.chat.completions.create(**options).choices[0].message.content or ""
    word = full.split()[3]
    stopped = client.chat.completions.create(**options, stop=[word]).choices[0]

    assert stopped.message.content == full[: full.index(word)]
    assert stopped.finish_reason == "stop"


def test_json_object_format_gives_an_object(client: OpenAI) -> None:
    """JSON mode: whatever the model would say, it says it as an object."""
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "user", "content": "Write a JSON object with the keys name and age for Anna, who is 30."}
        ],
        response_format={"type": "json_object"},
        temperature=0,
        max_completion_tokens=200,
    )

    assert completion.choices[0].finish_reason == "stop"
    assert isinstance(json.loads(completion.choices[0].message.content or ""), dict)


def test_json_schema_format_gives_a_valid_instance(client: OpenAI) -> None:
    """Strict schemas hold, at any temperature."""
    schema = {
        "type": "object",
        "properties": {
            "answer": {"type": "integer", "minimum": 0, "maximum": 100},
            "sure": {"type": "boolean"},
        },
        "required": ["answer", "sure"],
        "additionalProperties": False,
    }
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is 7 times 8?"}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "result", "schema": schema, "strict": True},
        },
        temperature=1.8,
        max_completion_tokens=100,
    )

    jsonschema.validate(json.loads(completion.choices[0].message.content or ""), schema)


def test_parse_returns_an_instance(client: OpenAI) -> None:
    """`parse` with a pydantic class gives an object of it."""
    completion = client.chat.completions.parse(
        model=MODEL, messages=HELLO, response_format=Mood, max_completion_tokens=60
    )

    assert isinstance(completion.choices[0].message.parsed, Mood)


def test_stream_helper_accumulates_what_parse_returns(client: OpenAI) -> None:
    """The `.stream()` helper's events and final completion agree with the unary answer."""
    options: dict[str, Any] = {"model": MODEL, "messages": HELLO, "response_format": Mood, "seed": 3}
    with client.chat.completions.stream(**options, max_completion_tokens=60) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    unary = client.chat.completions.parse(**options, max_completion_tokens=60)

    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.parsed == unary.choices[0].message.parsed
    assert final.choices[0].finish_reason == unary.choices[0].finish_reason


def test_usage_chunk_comes_last_when_asked_for(client: OpenAI) -> None:
    """`include_usage` adds one chunk without choices; the others say null."""
    with client.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        max_completion_tokens=6,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        *others, last = list(stream)

    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 6
    assert all(chunk.usage is None for chunk in others)


def test_logprobs_cover_every_token(client: OpenAI) -> None:
    """One entry per token, each with its bytes and alternatives; the bytes join to the text."""
    completion = client.chat.completions.create(
        model=MODEL, messages=HELLO, max_completion_tokens=5, temperature=0, logprobs=True, top_logprobs=3
    )
    choice = completion.choices[0]
    assert choice.logprobs is not None
    entries = choice.logprobs.content or []

    assert len(entries) == 5
    assert all(entry.logprob <= 0 and len(entry.top_logprobs) == 3 for entry in entries)
    assert b"".join(bytes(entry.bytes or []) for entry in entries).decode() == choice.message.content
    # Greedy: the drawn token is the likeliest one.
    assert all(entry.token == entry.top_logprobs[0].token for entry in entries)


def test_penalties_and_bias_change_the_answer(client: OpenAI) -> None:
    """A banned first token gives another answer."""
    options: dict[str, Any] = {
        "model": MODEL,
        "messages": HELLO,
        "temperature": 0,
        "max_completion_tokens": 12,
    }
    plain = client.chat.completions.create(**options).choices[0].message.content
    penalised = client.chat.completions.create(**options, frequency_penalty=2, presence_penalty=2)

    assert plain
    assert penalised.choices[0].message.content


def test_models_are_listed_with_their_aliases(client: OpenAI) -> None:
    """The model itself first, then the names it also answers to."""
    listed = [model.id for model in client.models.list()]

    assert listed == ["SmolLM2-135M-Instruct", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", "smollm2-135m"]
    assert client.models.retrieve("smollm2-135m").id == "smollm2-135m"


def test_unknown_model_is_not_found(client: OpenAI) -> None:
    """A name nobody configured is never answered by another model."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-5", messages=HELLO)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")

    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"temperature": 3}, "temperature", "decimal_above_max_value"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "integer_below_min_value"),
    ],
)
def test_wrong_fields_are_named(client: OpenAI, fields: dict[str, Any], param: str, code: str) -> None:
    """Each violation is a 400 that names the field and the kind of mistake."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": MODEL, "messages": HELLO, **fields})

    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.type == "invalid_request_error"


def test_too_long_a_prompt_is_refused_not_cut(client: OpenAI) -> None:
    """More tokens than the context holds is a 400 with OpenAI's code."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 9000}])

    assert caught.value.code == "context_length_exceeded"


async def test_async_client_streams_and_creates(server: ServerProcess) -> None:
    """The asynchronous client, several requests at once."""
    async with AsyncOpenAI(base_url=server.base_url, api_key="any", max_retries=0, timeout=60) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=HELLO, max_completion_tokens=10, seed=1, stream=True
        )
        async with stream:
            parts = [chunk.choices[0].delta.content or "" async for chunk in stream]
        whole = await client.chat.completions.create(
            model=MODEL, messages=HELLO, max_completion_tokens=10, seed=1
        )

    assert "".join(parts) == whole.choices[0].message.content
