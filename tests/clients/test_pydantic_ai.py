"""pydantic-ai's agents over `OpenAIChatModel`."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

# A penalty keeps the small model from repeating itself up to the limit.
SETTINGS = ModelSettings(max_tokens=400, temperature=1.0, frequency_penalty=1.0, seed=1)
SHORT = ModelSettings(max_tokens=20)


class Mood(BaseModel):
    """How somebody feels."""

    feeling: Literal["calm", "merry", "tired"]
    certain: bool


def model_at(url: str, name: str = "gpt-4o-mini") -> OpenAIChatModel:
    """pydantic-ai's model of that server."""
    return OpenAIChatModel(name, provider=OpenAIProvider(base_url=url, api_key="any"), settings=SETTINGS)


@pytest.fixture
def model(base_url: str) -> OpenAIChatModel:
    """The real model."""
    return model_at(base_url)


async def test_text(model: OpenAIChatModel) -> None:
    """An agent answers in text, and its usage is counted."""
    result = await Agent(model, instructions="Be brief.").run("Hello!", model_settings=SHORT)

    assert result.output
    assert result.usage.input_tokens > 0
    assert 0 < result.usage.output_tokens <= 20


async def test_conversation(model: OpenAIChatModel) -> None:
    """What an agent remembers is accepted as the beginning of the next run."""
    agent = Agent(model)
    first = await agent.run("Hello!", model_settings=SHORT)
    second = await agent.run("And you?", message_history=first.all_messages(), model_settings=SHORT)

    assert second.usage.input_tokens > first.usage.input_tokens


async def test_streamed_text(model: OpenAIChatModel) -> None:
    """Deltas join to the output, and usage comes with the stream."""
    async with Agent(model).run_stream("Hello!", model_settings=SHORT) as result:
        deltas = [delta async for delta in result.stream_text(delta=True, debounce_by=None)]
        output = await result.get_output()

    assert "".join(deltas) == output
    assert len(deltas) > 1
    assert 0 < result.usage.output_tokens <= 20


@pytest.mark.parametrize("kind", [ToolOutput, NativeOutput])
async def test_output_type(model: OpenAIChatModel, kind: Any) -> None:
    """By a tool that must be called, or by a JSON schema."""
    result = await Agent(model, output_type=kind(Mood)).run("How are you?")

    assert isinstance(result.output, Mood)


async def test_output_type_by_instructions(scripted_url: str) -> None:
    """In JSON mode, by a model that follows the instructions to write this and no other JSON."""
    result = await Agent(model_at(scripted_url), output_type=PromptedOutput(Mood)).run("How do you feel?")

    assert result.output == Mood(feeling="calm", certain=True)


async def test_streamed_output_type(model: OpenAIChatModel) -> None:
    """The last of the partial outputs is the output."""
    async with Agent(model, output_type=NativeOutput(Mood)).run_stream("How are you?") as result:
        partial = [each async for each in result.stream_output(debounce_by=None)]
        output = await result.get_output()

    assert partial[-1] == output
    assert isinstance(output, Mood)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_tool_loop(scripted_url: str, streamed: bool) -> None:
    """The model calls, the agent runs the tool, the model answers in text."""
    agent = Agent(model_at(scripted_url))
    asked = []

    @agent.tool_plain
    def get_weather(location: str) -> str:
        """The weather of a place."""
        asked.append(location)
        return "It is sunny."

    question = "What is the weather in San Francisco, CA?"
    if streamed:
        async with agent.run_stream(question) as result:
            output = await result.get_output()
    else:
        output = (await agent.run(question)).output

    assert asked == ["San Francisco, CA"]
    assert output


async def test_error(base_url: str) -> None:
    """An unknown model is an HTTP error with status and body."""
    with pytest.raises(ModelHTTPError) as caught:
        await Agent(model_at(base_url, "gpt-5")).run("Hello!")

    assert caught.value.status_code == 404
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == "model_not_found"


async def test_context_overflow(base_url: str) -> None:
    """Too long a prompt is told in words that say so."""
    with pytest.raises(ModelHTTPError, match="maximum context length") as caught:
        await Agent(model_at(base_url)).run("word " * 9000)

    assert caught.value.status_code == 400
