"""Tools through the official Python client: the fake engine for the forms, the real model for the promise."""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import jsonschema
import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.live.server_process import ServerProcess

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 40},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of the coming days.",
        "parameters": SCHEMA,
        "strict": True,
    },
}
NOW: ChatCompletionToolParam = {"type": "function", "function": {"name": "now"}}
QUESTION: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "What is the weather in Paris for the next three days?"}
]


class Weather(BaseModel):
    """Asks for the weather."""

    city: str
    unit: Literal["celsius", "fahrenheit"]


@pytest.fixture
def fake(fake_server: ServerProcess) -> Iterator[OpenAI]:
    """The official client, pointed at the fake engine."""
    with OpenAI(base_url=fake_server.base_url, api_key="any", max_retries=0, timeout=60) as client:
        yield client


def required(**fields: object) -> dict[str, Any]:
    """A request whose answer must call."""
    return {"model": "gpt-4o-mini", "messages": QUESTION, "tools": [WEATHER, NOW], "seed": 3} | {
        "tool_choice": "required",
        **fields,
    }


def test_call_comes_whole_and_streamed_alike(fake: OpenAI) -> None:
    """Names and arguments are the same; ids are new each time."""
    message = fake.chat.completions.create(**required()).choices[0].message
    with fake.chat.completions.stream(**required()) as stream:
        final = stream.get_final_completion().choices[0]

    assert message.content is None
    assert message.tool_calls
    assert final.finish_reason == "tool_calls"
    assert final.message.tool_calls
    (whole,), (streamed,) = message.tool_calls, final.message.tool_calls
    assert whole.type == "function"
    assert whole.function.name == streamed.function.name
    assert whole.function.arguments == streamed.function.arguments
    assert [len(call.id) for call in (whole, streamed)] == [29, 29]
    assert whole.id != streamed.id


def test_loop_of_calls_and_answers_goes_round(fake: OpenAI) -> None:
    """What the client dumps is accepted, stream accumulator's extra keys and all."""
    with fake.chat.completions.stream(**required()) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls
    results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in message.tool_calls]

    answer = fake.chat.completions.create(
        **required(messages=[*QUESTION, message.model_dump(), *results], tool_choice="none")
    )

    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].message.content is not None


def test_parse_reads_arguments_into_a_model(fake: OpenAI) -> None:
    """Pydantic tools, as the SDK makes their schemas."""
    completion = fake.chat.completions.parse(
        model="gpt-4o-mini",
        messages=QUESTION,
        tools=[openai.pydantic_function_tool(Weather)],
        tool_choice={"type": "function", "function": {"name": "Weather"}},
    )

    (call,) = completion.choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, Weather)
    assert completion.choices[0].finish_reason == "stop"


def test_deprecated_form_is_answered_in_its_own(fake: OpenAI) -> None:
    """`functions` gives a `function_call`."""
    completion = fake.chat.completions.create(
        model="gpt-4o-mini",
        messages=QUESTION,
        functions=[{"name": "get_weather", "parameters": SCHEMA}],
        function_call={"name": "get_weather"},
    )

    assert completion.choices[0].message.function_call is not None
    assert completion.choices[0].message.tool_calls is None
    jsonschema.validate(json.loads(completion.choices[0].message.function_call.arguments), SCHEMA)


CUSTOM: list[dict[str, object]] = [
    {"type": "custom", "custom": {"name": "note", "description": "Writes a note."}},
    {
        "type": "custom",
        "custom": {
            "name": "sum",
            "format": {
                "type": "grammar",
                "grammar": {
                    "syntax": "lark",
                    "definition": 'start: NUMBER ("+" NUMBER)?\nNUMBER: /[0-9]{1,3}/',
                },
            },
        },
    },
    {
        "type": "custom",
        "custom": {
            "name": "plate",
            "format": {
                "type": "grammar",
                "grammar": {"syntax": "regex", "definition": "[A-Z]{2} [0-9]{1,4}"},
            },
        },
    },
]
INPUTS = {"note": r"(?s).*", "sum": r"[0-9]{1,3}(\+[0-9]{1,3})?", "plate": r"[A-Z]{2} [0-9]{1,4}"}


@pytest.mark.parametrize("name", ["note", "sum", "plate"])
def test_custom_tools_are_called_whole_and_streamed_alike(fake: OpenAI, name: str) -> None:
    """The input is raw text in the grammar; the call and its result replay."""
    asked = required(tools=[WEATHER, *CUSTOM], tool_choice={"type": "custom", "custom": {"name": name}})
    message = fake.chat.completions.create(**asked).choices[0].message
    pieces = [
        call
        for chunk in fake.chat.completions.create(**asked, stream=True)
        for call in (chunk.choices[0].delta.tool_calls or [])
    ]

    (call,) = message.tool_calls or []
    assert call.type == "custom"
    assert re.fullmatch(INPUTS[name], call.custom.input)
    assert pieces[0].type == "custom"
    inputs = [piece.model_dump()["custom"] for piece in pieces]
    assert inputs[0] == {"name": name, "input": ""}
    assert "".join(piece["input"] for piece in inputs) == call.custom.input
    result = {"role": "tool", "tool_call_id": call.id, "content": "done"}
    answer = fake.chat.completions.create(
        **required(messages=[*QUESTION, message.model_dump(), result], tools=CUSTOM, tool_choice="none")
    )
    assert answer.choices[0].finish_reason == "stop"


def test_custom_grammar_that_does_not_compile_is_refused(fake: OpenAI) -> None:
    """By its place."""
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: nowhere"}}
    tools = [WEATHER, {"type": "custom", "custom": {"name": "c", "format": grammar}}]
    with pytest.raises(openai.BadRequestError) as caught:
        fake.chat.completions.create(**required(tools=tools))

    assert caught.value.param == "tools[1].custom.format.grammar.definition"


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "auto", "seed": 1},
        {"tool_choice": "auto", "seed": 2},
        {"tool_choice": "auto", "n": 4, "logprobs": True},
        {"parallel_tool_calls": False},
        {"tool_choice": "none", "logprobs": True, "top_logprobs": 2, "max_tokens": 400},
    ],
)
def test_streamed_answer_adds_up_to_the_whole_one(fake: OpenAI, fields: dict[str, object]) -> None:
    """Message by message, content null where it is null; only what is new each time differs."""
    whole = fake.chat.completions.create(**required(**fields))
    with fake.chat.completions.stream(**required(**fields)) as stream:
        final = stream.get_final_completion()

    assert without_what_is_new(final.model_dump()) == without_what_is_new(whole.model_dump())


def without_what_is_new(completion: dict[str, Any]) -> list[dict[str, Any]]:
    """The choices, without ids and without what the client adds."""
    for choice in completion["choices"]:
        choice["message"].pop("parsed", None)
        choice["message"].pop("annotations", None)
        for call in choice["message"]["tool_calls"] or ():
            call.pop("id")
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
    choices: list[dict[str, Any]] = completion["choices"]
    return choices


def test_strict_schema_that_cannot_be_held_is_refused(fake: OpenAI) -> None:
    """With OpenAI's param and code."""
    bad = {"name": "f", "strict": True, "parameters": {"type": "object", "properties": {"a": {"not": {}}}}}
    with pytest.raises(openai.BadRequestError) as caught:
        fake.chat.completions.create(**required(tools=[NOW, {"type": "function", "function": bad}]))

    assert caught.value.param == "tools[1].function.parameters"
    assert caught.value.code == "invalid_function_parameters"
    assert "Invalid schema for function 'f': In context=(), " in str(caught.value)


@pytest.mark.model
@pytest.mark.parametrize("name", ["sum", "plate"])
def test_model_writes_inputs_in_their_grammar(client: OpenAI, name: str) -> None:
    """For any seed, whole and ended."""
    for seed in range(3):
        choice = client.chat.completions.create(
            **required(tools=CUSTOM, tool_choice={"type": "custom", "custom": {"name": name}}, seed=seed)
        ).choices[0]
        (call,) = choice.message.tool_calls or []

        assert call.type == "custom"
        assert re.fullmatch(INPUTS[name], call.custom.input)
        assert choice.finish_reason == "stop"


@pytest.mark.model
def test_model_that_must_call_calls_with_valid_arguments(client: OpenAI) -> None:
    """For any seed: a known function, arguments valid under its schema, nothing but calls."""
    names = set()
    for seed in range(10):
        fields = required(seed=seed, temperature=1.5, max_completion_tokens=400, parallel_tool_calls=False)
        choice = client.chat.completions.create(**fields).choices[0]
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        (call,) = choice.message.tool_calls or []
        assert call.type == "function"
        names.add(call.function.name)
        schema = SCHEMA if call.function.name == "get_weather" else {"type": "object", "maxProperties": 0}
        jsonschema.validate(json.loads(call.function.arguments), schema)
    assert names <= {"get_weather", "now"}


@pytest.mark.model
def test_model_may_answer_or_call(client: OpenAI) -> None:
    """Whatever it does, text holds no call and calls are whole."""
    for seed in range(4):
        fields = required(seed=seed, tool_choice="auto", max_completion_tokens=200)
        choice = client.chat.completions.create(**fields).choices[0]
        assert "<tool_call>" not in (choice.message.content or "")
        assert bool(choice.message.tool_calls) == (choice.finish_reason == "tool_calls") or (
            choice.finish_reason == "length"
        )


@pytest.mark.model
def test_model_streams_a_named_call_as_it_is_written(client: OpenAI) -> None:
    """Several fragments, which join to valid arguments."""
    chosen = {"type": "function", "function": {"name": "get_weather"}}
    with client.chat.completions.create(**required(tool_choice=chosen), stream=True) as stream:
        chunks = [chunk.choices[0] for chunk in stream]
    fragments = [chunk.delta.tool_calls[0] for chunk in chunks if chunk.delta.tool_calls]

    assert (chunks[0].delta.role, chunks[0].delta.content) == ("assistant", None)
    assert chunks[-1].finish_reason == "stop"
    assert fragments[0].function is not None
    assert fragments[0].function.name == "get_weather"
    assert len(fragments) > 3
    joined = "".join(fragment.function.arguments or "" for fragment in fragments if fragment.function)
    jsonschema.validate(json.loads(joined), SCHEMA)
