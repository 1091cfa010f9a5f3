"""OpenAI's Agents SDK over chat completions."""

from collections.abc import AsyncIterator
from typing import Literal

import agents
import pytest
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner
from openai import AsyncOpenAI
from pydantic import BaseModel

SETTINGS = ModelSettings(max_tokens=300, temperature=1.0, frequency_penalty=1.0)

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


@pytest.fixture
async def model(base_url: str) -> AsyncIterator[OpenAIChatCompletionsModel]:
    """The real model."""
    async with AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
        yield OpenAIChatCompletionsModel("gpt-4o-mini", client)


@pytest.fixture
async def scripted(scripted_url: str) -> AsyncIterator[OpenAIChatCompletionsModel]:
    """The model that knows its calls by heart."""
    async with AsyncOpenAI(base_url=scripted_url, api_key="any", max_retries=0) as client:
        yield OpenAIChatCompletionsModel("gpt-4o-mini", client)


async def test_text(model: OpenAIChatCompletionsModel) -> None:
    """A run ends in text."""
    agent = Agent(
        "Parrot", instructions="Be brief.", model=model, model_settings=ModelSettings(max_tokens=20)
    )
    result = await Runner.run(agent, "Hello!")

    assert result.final_output
    assert 0 < result.context_wrapper.usage.output_tokens <= 20


async def test_output_type(model: OpenAIChatCompletionsModel) -> None:
    """An object of the agent's output type."""
    agent = Agent("Parrot", model=model, model_settings=SETTINGS, output_type=Mood)

    assert isinstance((await Runner.run(agent, "How are you?")).final_output, Mood)


async def test_streamed_text(model: OpenAIChatCompletionsModel) -> None:
    """Deltas join to the output."""
    agent = Agent("Parrot", model=model, model_settings=ModelSettings(max_tokens=20, include_usage=True))
    result = Runner.run_streamed(agent, "Hello!")
    text = ""
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta

    assert text == result.final_output
    assert 0 < result.context_wrapper.usage.output_tokens <= 20


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_tool_loop(scripted: OpenAIChatCompletionsModel, streamed: bool) -> None:
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
