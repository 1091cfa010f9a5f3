"""OpenAI's Agents SDK over responses, which is its default, and over chat completions."""

from collections.abc import AsyncIterator
from typing import Literal

import agents
import pytest
from agents import (
    Agent,
    CustomTool,
    Model,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIProvider,
    OpenAIResponsesModel,
    Runner,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

TO_ITS_END = ModelSettings(max_tokens=300, temperature=0, include_usage=True)
"""Over responses the SDK takes an answer that is cut for a failure."""
SETTINGS = ModelSettings(max_tokens=300, temperature=1.0, extra_body={"frequency_penalty": 1.0})

# Traces go to OpenAI unless one says no.
agents.set_tracing_disabled(True)


class Mood(BaseModel):
    """How somebody feels."""

    feeling: Literal["calm", "merry", "tired"]
    certain: bool


@agents.function_tool
def get_weather(location: str) -> str:
    """The weather of a place."""
    return f"It is sunny in {location}."


async def models_at(url: str, api: str) -> AsyncIterator[Model]:
    """The SDK's model of that server, over this API; the default is what the SDK chooses itself."""
    async with AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client:
        if api == "chat":
            yield OpenAIChatCompletionsModel("gpt-4o-mini", client)
        else:
            yield OpenAIProvider(openai_client=client).get_model("gpt-4o-mini")


@pytest.fixture(params=["default", "chat"])
async def model(request: pytest.FixtureRequest, base_url: str) -> AsyncIterator[Model]:
    """The real model."""
    async for model in models_at(base_url, request.param):
        yield model


@pytest.fixture(params=["default", "chat"])
async def scripted(request: pytest.FixtureRequest, scripted_url: str) -> AsyncIterator[Model]:
    """The model that knows its calls by heart."""
    async for model in models_at(scripted_url, request.param):
        yield model


async def test_default_is_responses() -> None:
    """Should the SDK ever choose otherwise, this page must say so."""
    async for model in models_at("http://127.0.0.1", "default"):
        assert isinstance(model, OpenAIResponsesModel)


async def test_text(model: Model) -> None:
    """A run ends in text."""
    agent = Agent("Parrot", instructions="Be brief.", model=model, model_settings=TO_ITS_END)
    result = await Runner.run(agent, "Hello!")

    assert result.final_output
    assert 0 < result.context_wrapper.usage.output_tokens < 300


async def test_output_type(model: Model) -> None:
    """An object of the agent's output type."""
    agent = Agent("Parrot", model=model, model_settings=SETTINGS, output_type=Mood)

    assert isinstance((await Runner.run(agent, "How are you?")).final_output, Mood)


async def test_streamed_text(model: Model) -> None:
    """Deltas join to the output."""
    agent = Agent("Parrot", model=model, model_settings=TO_ITS_END)
    result = Runner.run_streamed(agent, "Hello!")
    text = ""
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta

    assert text == result.final_output
    assert 0 < result.context_wrapper.usage.output_tokens < 300


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_tool_loop(scripted: Model, streamed: bool) -> None:
    """The model calls, the runner runs the tool, the model answers in text."""
    agent = Agent("Parrot", model=scripted, tools=[get_weather])
    question = "What is the weather in San Francisco, CA?"
    if streamed:
        running = Runner.run_streamed(agent, question)
        async for _ in running.stream_events():
            pass
        items, output = running.new_items, running.final_output
    else:
        result = await Runner.run(agent, question)
        items, output = result.new_items, result.final_output

    assert [item.type for item in items] == ["tool_call_item", "tool_call_output_item", "message_output_item"]
    assert output


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_custom_tool_loop(scripted_url: str, streamed: bool) -> None:
    """A custom tool is run with the text that the model wrote."""
    asked: list[str] = []

    async def run_sql(_context: object, query: str) -> str:
        asked.append(query)
        return "1"

    async for model in models_at(scripted_url, "default"):
        tool = CustomTool(name="run_sql", description="Runs a query.", on_invoke_tool=run_sql)
        agent = Agent("Parrot", model=model, tools=[tool])
        if streamed:
            running = Runner.run_streamed(agent, "Run the query SELECT 1.")
            async for _ in running.stream_events():
                pass
            output = running.final_output
        else:
            output = (await Runner.run(agent, "Run the query SELECT 1.")).final_output

        assert asked == ["SELECT 1"]
        assert output == "So I was told."


async def test_conversation(scripted_url: str) -> None:
    """By the id of the response before."""
    async for model in models_at(scripted_url, "default"):
        agent = Agent("Parrot", model=model)
        first = await Runner.run(agent, "How do you feel?")
        second = await Runner.run(agent, "How do you feel?", previous_response_id=first.last_response_id)

        assert second.context_wrapper.usage.input_tokens > first.context_wrapper.usage.input_tokens


async def test_thoughts(thinking_url: str) -> None:
    """An item of its own, which is sent back with the rest of the conversation."""
    async for model in models_at(thinking_url, "default"):
        agent = Agent("Parrot", model=model)
        first = await Runner.run(agent, "Think aloud!")
        again = [*first.to_input_list(), {"role": "user", "content": "Think aloud!"}]
        second = await Runner.run(agent, again)

        assert [item.type for item in first.new_items] == ["reasoning_item", "message_output_item"]
        assert (first.final_output, second.final_output) == ("So.", "So.")
