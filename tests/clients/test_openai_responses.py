"""OpenAI's Python client: responses, and text completions."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response
from pydantic import BaseModel

MODEL = "gpt-4o-mini"
SHORT: dict[str, Any] = {"model": MODEL, "input": "Hello!", "max_output_tokens": 12, "temperature": 0}
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
}
SQL: dict[str, Any] = {"type": "custom", "name": "run_sql", "description": "Runs a query."}


class Mood(BaseModel):
    """How somebody feels."""

    feeling: Literal["calm", "merry", "tired"]
    certain: bool


@pytest.fixture
def client(base_url: str) -> Iterator[OpenAI]:
    """The real model; nothing is retried, so that a failure is seen."""
    with OpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def scripted(scripted_url: str) -> Iterator[OpenAI]:
    """The model that knows its calls by heart."""
    with OpenAI(base_url=scripted_url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def thinking(thinking_url: str) -> Iterator[OpenAI]:
    """The model that thinks aloud."""
    with OpenAI(base_url=thinking_url, api_key="any", max_retries=0) as client:
        yield client


def answered(client: OpenAI, streamed: bool, **asked: Any) -> Response:
    """The response, by `create` or as the stream helper has it at the end."""
    if not streamed:
        return client.responses.create(model=MODEL, **asked)
    with client.responses.stream(model=MODEL, **asked) as stream:
        return stream.get_final_response()


both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


def test_create(client: OpenAI) -> None:
    """Text, a status with its reason, and a usage that adds up."""
    response = client.responses.create(**SHORT)

    assert response.output_text
    assert response.status in ("completed", "incomplete")
    assert response.usage is not None
    assert 0 < response.usage.output_tokens <= 12
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_stream(client: OpenAI) -> None:
    """Deltas join to the whole answer of the same seed; events are numbered; one of them is the last."""
    whole = client.responses.create(**SHORT)
    events = list(client.responses.create(**SHORT, stream=True))

    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text
    assert events[-1].type == f"response.{whole.status}"
    assert events[-1].response.usage == whole.usage


def test_max_output_tokens(client: OpenAI) -> None:
    """An answer that is cut is incomplete, and says why."""
    options: dict[str, Any] = SHORT | {"max_output_tokens": 3, "extra_body": {"ignore_eos": True}}
    response = client.responses.create(**options)

    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert [item.status for item in response.output if item.type == "message"] == ["incomplete"]


def test_parse(client: OpenAI) -> None:
    """`parse` gives an object of a pydantic class."""
    response = client.responses.parse(
        model=MODEL, input="How are you?", text_format=Mood, max_output_tokens=60
    )

    assert isinstance(response.output_parsed, Mood)


def test_stream_helper_parses(client: OpenAI) -> None:
    """`.stream()` with a pydantic class; its deltas are the text of the final response."""
    deltas = []
    with client.responses.stream(
        model=MODEL, input="How are you?", text_format=Mood, max_output_tokens=60
    ) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                deltas.append(event.delta)
        final = stream.get_final_response()

    assert "".join(deltas) == final.output_text
    assert isinstance(final.output_parsed, Mood)


@both_ways
def test_required_function(client: OpenAI, streamed: bool) -> None:
    """A call with arguments of the class that the tool was made of."""
    tool = openai.pydantic_function_tool(Mood)["function"]
    response = answered(
        client,
        streamed,
        input="How are you?",
        tools=[{"type": "function", **tool}],
        tool_choice="required",
        parallel_tool_calls=False,
        max_output_tokens=100,
    )

    (call,) = response.output
    assert call.type == "function_call"
    assert Mood.model_validate_json(call.arguments)


@both_ways
def test_function_loop(scripted: OpenAI, streamed: bool) -> None:
    """A call's output is answered, behind the stored response and behind the replayed items."""
    question = {"role": "user", "content": "What is the weather in San Francisco, CA?"}
    asked = answered(scripted, streamed, input=[question], tools=[WEATHER])
    (call,) = asked.output
    assert call.type == "function_call"
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    continued = answered(scripted, streamed, input=[output], tools=[WEATHER], previous_response_id=asked.id)
    replayed = answered(scripted, streamed, input=[question, call, output], tools=[WEATHER])

    assert json.loads(call.arguments) == {"location": "San Francisco, CA"}
    assert continued.output_text == replayed.output_text == "So I was told."


@both_ways
def test_custom_tool_loop(scripted: OpenAI, streamed: bool) -> None:
    """A custom tool is called with a text, whose output is answered."""
    question = {"role": "user", "content": "Run the query SELECT 1."}
    asked = answered(scripted, streamed, input=[question], tools=[SQL])
    (call,) = asked.output
    assert call.type == "custom_tool_call"
    output = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "1"}
    replayed = answered(scripted, streamed, input=[question, call, output], tools=[SQL])

    assert (call.name, call.input) == ("run_sql", "SELECT 1")
    assert replayed.output_text == "So I was told."


def test_grammar(client: OpenAI) -> None:
    """The input of a custom tool is in the language of its grammar."""
    grammar = {"type": "grammar", "syntax": "regex", "definition": "[a-c]{3}"}
    tool: Any = {"type": "custom", "name": "spell", "format": grammar}
    options: dict[str, Any] = SHORT | {"tools": [tool], "tool_choice": {"type": "custom", "name": "spell"}}
    (call,) = client.responses.create(**options | {"max_output_tokens": 100}).output

    assert call.type == "custom_tool_call"
    assert len(call.input) == 3
    assert set(call.input) <= set("abc")


@both_ways
def test_reasoning(thinking: OpenAI, streamed: bool) -> None:
    """What is thought is an item of its own, which is accepted where it is sent back."""
    question = {"role": "user", "content": "Think aloud!"}
    include: Any = ["reasoning.encrypted_content"]
    response = answered(thinking, streamed, input=[question], include=include, store=False)
    thought, said = response.output
    assert thought.type == "reasoning"
    again = answered(thinking, streamed, input=[question, thought, said, question], store=False)

    assert [part.text for part in thought.content or ()] == ["Hm."]
    assert thought.encrypted_content
    assert response.output_text == again.output_text == "So."
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens > 0


def test_reasoning_events(thinking: OpenAI) -> None:
    """Thoughts are streamed before what is said."""
    events = list(thinking.responses.create(model=MODEL, input="Think aloud!", stream=True))
    deltas = [event for event in events if event.type.endswith("_text.delta")]

    assert "".join(e.delta for e in deltas if e.type == "response.reasoning_text.delta") == "Hm."
    assert "".join(e.delta for e in deltas if e.type == "response.output_text.delta") == "So."
    kinds = [event.type for event in deltas]
    assert kinds == sorted(kinds, key="response.output_text.delta".__eq__)


def test_stored_response(client: OpenAI) -> None:
    """Create, retrieve, page through the items, delete."""
    items: Any = [{"role": "user", "content": text} for text in ("One", "Two", "Three")]
    created = client.responses.create(**SHORT | {"input": items, "metadata": {"made": "here"}})
    kept = client.responses.retrieve(created.id)
    events: list[Any] = list(client.responses.retrieve(created.id, stream=True))
    rest = list(client.responses.retrieve(created.id, stream=True, starting_after=3))
    page = client.responses.input_items.list(created.id, limit=2, order="asc")
    contents = [item.to_dict()["content"] for item in page]
    client.responses.delete(created.id)

    assert (kept.output_text, kept.metadata) == (created.output_text, {"made": "here"})
    assert page.has_more
    assert events[-1].type == f"response.{created.status}"
    assert events[-1].response.output_text == created.output_text
    assert [event.sequence_number for event in rest] == list(range(4, len(events)))
    assert contents == [[{"type": "input_text", "text": text}] for text in ("One", "Two", "Three")]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(created.id)


def test_input_tokens(client: OpenAI) -> None:
    """Counted as they are charged."""
    counted = client.responses.input_tokens.count(model=MODEL, input="Hello!")
    items: Any = [{"role": "user", "content": text} for text in ("word " * 9000, "Hello!")]
    cut = client.responses.input_tokens.count(model=MODEL, input=items, truncation="auto")
    response = client.responses.create(**SHORT)

    assert response.usage is not None
    assert counted.input_tokens == cut.input_tokens == response.usage.input_tokens
    with pytest.raises(openai.BadRequestError, match="context length"):
        client.responses.create(**SHORT | {"input": items})


async def test_async(base_url: str) -> None:
    """The asynchronous client, streaming while it creates."""
    async with (
        AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as client,
        client.responses.stream(**SHORT) as stream,
    ):
        whole = await client.responses.create(**SHORT)
        events = [event async for event in stream]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")

    assert text == whole.output_text


@both_ways
def test_errors(client: OpenAI, streamed: bool) -> None:
    """Classes, and what the error says of itself, in the names of this API."""
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.create(**SHORT | {"model": "gpt-5"}, stream=streamed)
    with pytest.raises(openai.BadRequestError) as hosted:
        client.responses.create(**SHORT, tools=[{"type": "web_search"}], stream=streamed)
    with pytest.raises(openai.BadRequestError) as background:
        client.responses.create(**SHORT, background=True, stream=streamed)

    assert missing.value.code == "model_not_found"
    assert (hosted.value.param, hosted.value.code) == ("tools[0].type", "unsupported_parameter")
    assert background.value.param == "background"


COMPLETION: dict[str, Any] = {"model": MODEL, "prompt": "Once upon a time", "max_tokens": 8, "seed": 3}


def test_text_completion(client: OpenAI) -> None:
    """Several prompts, as texts and as token ids, are continued side by side."""
    completion = client.completions.create(**COMPLETION | {"prompt": ["Once upon a time", "The capital"]})

    assert [choice.index for choice in completion.choices] == [0, 1]
    assert all(choice.text for choice in completion.choices)
    assert completion.usage is not None
    assert completion.usage.completion_tokens <= 16


def test_text_completion_stream(client: OpenAI) -> None:
    """Texts and scores join to the whole; usage comes last."""
    scored = COMPLETION | {"logprobs": 2}
    whole = client.completions.create(**scored)
    chunks = list(client.completions.create(**scored, stream=True, stream_options={"include_usage": True}))
    choices = [choice for chunk in chunks for choice in chunk.choices]

    assert "".join(choice.text for choice in choices) == whole.choices[0].text
    assert whole.choices[0].logprobs is not None
    tokens = [token for each in choices if each.logprobs for token in each.logprobs.tokens or ()]
    assert tokens == whole.choices[0].logprobs.tokens
    assert chunks[-1].usage == whole.usage


def test_text_completion_echo(client: OpenAI) -> None:
    """The prompt is repeated before what follows it."""
    completion = client.completions.create(**COMPLETION, echo=True)

    assert completion.choices[0].text.startswith("Once upon a time")
