"""OpenAI's own Python client, in the newest version that the other clients run with."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.lib.streaming.chat import ContentDeltaEvent
from pydantic import BaseModel

HELLO: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}
SHORT: dict[str, Any] = HELLO | {"max_completion_tokens": 12, "temperature": 0}


class Mood(BaseModel):
    """How somebody feels."""

    feeling: Literal["calm", "merry", "tired"]
    certain: bool


@pytest.fixture
def client(base_url: str) -> Iterator[OpenAI]:
    """The client; it does not retry, so that a failure is seen."""
    with OpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
        yield client


def test_create(client: OpenAI) -> None:
    """A whole answer."""
    completion = client.chat.completions.create(**SHORT)

    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason in ("stop", "length")
    assert completion.usage is not None
    assert 0 < completion.usage.completion_tokens <= 12


def test_stream(client: OpenAI) -> None:
    """Deltas join to the whole answer of the same seed."""
    whole = client.chat.completions.create(**SHORT).choices[0]
    with client.chat.completions.create(**SHORT, stream=True) as stream:
        choices = [chunk.choices[0] for chunk in stream]

    assert "".join(choice.delta.content or "" for choice in choices) == whole.message.content
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == [whole.finish_reason]


def test_parse(client: OpenAI) -> None:
    """`parse` gives an object of a pydantic class."""
    completion = client.chat.completions.parse(**HELLO, response_format=Mood, max_completion_tokens=60)

    assert isinstance(completion.choices[0].message.parsed, Mood)


def test_stream_helper(client: OpenAI) -> None:
    """`.stream()` gives events and, at the end, the completion that `create` gives."""
    # The helper raises where an answer ends for its length, so this one must end by itself.
    greedy = HELLO | {"temperature": 0, "max_completion_tokens": 300}
    whole = client.chat.completions.create(**greedy)
    with client.chat.completions.stream(**greedy, stream_options={"include_usage": True}) as stream:
        text = "".join(event.delta for event in stream if isinstance(event, ContentDeltaEvent))
        final = stream.get_final_completion()

    assert text == final.choices[0].message.content == whole.choices[0].message.content
    assert final.choices[0].finish_reason == whole.choices[0].finish_reason
    assert final.usage is not None
    assert whole.usage is not None
    assert final.usage.completion_tokens == whole.usage.completion_tokens


def test_stream_helper_parses(client: OpenAI) -> None:
    """`.stream()` with a pydantic class."""
    with client.chat.completions.stream(**HELLO, response_format=Mood, max_completion_tokens=60) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()

    assert {"content.delta", "content.done"} <= kinds
    assert isinstance(final.choices[0].message.parsed, Mood)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_required_tool(client: OpenAI, streamed: bool) -> None:
    """A call with arguments of the class that the tool was made of."""
    options: dict[str, Any] = HELLO | {
        "tools": [openai.pydantic_function_tool(Mood)],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_completion_tokens": 100,
    }
    if streamed:
        with client.chat.completions.stream(**options) as stream:
            choice = stream.get_final_completion().choices[0]
    else:
        choice = client.chat.completions.parse(**options).choices[0]

    (call,) = choice.message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, Mood)
    assert choice.finish_reason == "tool_calls"


def test_tool_loop(scripted_url: str) -> None:
    """The call, replayed as the client dumps it, and its result are accepted."""
    question = {"role": "user", "content": "What is the weather in San Francisco, CA?"}
    parameters = {"type": "object", "properties": {"location": {"type": "string"}}}
    tools: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]
    with OpenAI(base_url=scripted_url, api_key="any", max_retries=0) as client:
        asked = client.chat.completions.create(model="gpt-4o-mini", messages=[question], tools=tools)  # type: ignore[list-item]
        message = asked.choices[0].message
        (call,) = message.tool_calls or []
        messages: Any = [question, message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)

    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"location": "San Francisco, CA"}
    assert asked.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


async def test_async(base_url: str) -> None:
    """The asynchronous client, streaming while it creates."""
    async with (
        AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as client,
        client.chat.completions.stream(**SHORT) as stream,
    ):
        whole = await client.chat.completions.create(**SHORT)
        text = "".join([event.delta async for event in stream if event.type == "content.delta"])

    assert text == whole.choices[0].message.content


def test_raw_response(client: OpenAI) -> None:
    """Headers reach the caller, whole and streamed."""
    raw = client.chat.completions.with_raw_response.create(**SHORT)
    with client.chat.completions.with_streaming_response.create(**SHORT, stream=True) as streamed:
        lines = list(streamed.iter_lines())

    assert raw.parse().usage is not None
    assert raw.request_id is not None
    assert raw.headers["openai-processing-ms"].isdigit()
    assert raw.headers["openai-version"] == "2020-10-01"
    assert streamed.headers["x-request-id"].startswith("req_")
    assert [line for line in lines if line][-1] == "data: [DONE]"


def test_log_probabilities(client: OpenAI) -> None:
    """Bytes join to the text."""
    choice = client.chat.completions.create(**SHORT, logprobs=True, top_logprobs=2).choices[0]

    assert choice.logprobs is not None
    entries = choice.logprobs.content or []
    assert bytes(byte for entry in entries for byte in entry.bytes or ()).decode() == choice.message.content


def test_stored_completion(client: OpenAI) -> None:
    """Create, find, change, read and delete."""
    kept = client.chat.completions
    created = kept.create(**SHORT, store=True, metadata={"made": "here"})

    assert kept.retrieve(created.id).choices[0].message.content == created.choices[0].message.content
    assert created.id in [each.id for each in kept.list(metadata={"made": "here"})]
    assert kept.update(created.id, metadata={"made": "there"}).id == created.id
    assert [message.content for message in kept.messages.list(created.id)] == ["Hello!"]
    assert kept.delete(created.id).deleted
    with pytest.raises(openai.NotFoundError):
        kept.retrieve(created.id)


def test_models(client: OpenAI) -> None:
    """List and retrieve."""
    assert "gpt-4o-mini" in [model.id for model in client.models.list()]
    assert client.models.retrieve("gpt-4o-mini").object == "model"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_errors(client: OpenAI, streamed: bool) -> None:
    """Classes, and what the error says of itself."""
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(**HELLO | {"model": "gpt-5"}, stream=streamed)
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(**HELLO, temperature=3, stream=streamed)

    assert missing.value.code == "model_not_found"
    assert (wrong.value.param, wrong.value.code) == ("temperature", "decimal_above_max_value")
    assert wrong.value.type == "invalid_request_error"
    assert wrong.value.request_id is not None
