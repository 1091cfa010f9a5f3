"""pydantic-ai's agents over `OpenAIChatModel` and `OpenAIResponsesModel`."""

from typing import Any, Literal, TypeAlias

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError, UsageLimitExceeded
from pydantic_ai.messages import ModelMessage, ModelResponse, ThinkingPart
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

# A penalty keeps the small model from repeating itself up to the limit.
SETTINGS = ModelSettings(max_tokens=400, temperature=1.0, extra_body={"frequency_penalty": 1.0, "seed": 1})
SHORT = ModelSettings(max_tokens=20)

OpenAIModel: TypeAlias = OpenAIChatModel | OpenAIResponsesModel


class Mood(BaseModel):
    """How somebody feels."""

    feeling: Literal["calm", "merry", "tired"]
    certain: bool


@pytest.fixture(params=[OpenAIChatModel, OpenAIResponsesModel], ids=["chat", "responses"])
def kind_of_model(request: pytest.FixtureRequest) -> type[OpenAIModel]:
    """The class for each of the APIs."""
    kind: type[OpenAIModel] = request.param
    return kind


def model_at(kind: type[OpenAIModel], url: str, name: str = "gpt-4o-mini") -> OpenAIModel:
    """pydantic-ai's model of that server."""
    return kind(name, provider=OpenAIProvider(base_url=url, api_key="any"), settings=SETTINGS)


@pytest.fixture
def model(kind_of_model: type[OpenAIModel], base_url: str) -> OpenAIModel:
    """The real model."""
    return model_at(kind_of_model, base_url)


@pytest.fixture
def scripted(kind_of_model: type[OpenAIModel], scripted_url: str) -> OpenAIModel:
    """The model that knows its answers by heart."""
    return model_at(kind_of_model, scripted_url)


async def test_text(model: OpenAIModel) -> None:
    """An agent answers in text, and its usage is counted."""
    result = await Agent(model, instructions="Be brief.").run("Hello!", model_settings=SHORT)

    assert result.output
    assert result.usage.input_tokens > 0
    assert 0 < result.usage.output_tokens <= 20


async def test_conversation(model: OpenAIModel) -> None:
    """What an agent remembers is accepted as the beginning of the next run."""
    agent = Agent(model)
    first = await agent.run("Hello!", model_settings=SHORT)
    second = await agent.run("And you?", message_history=first.all_messages(), model_settings=SHORT)

    assert second.usage.input_tokens > first.usage.input_tokens


async def test_streamed_text(model: OpenAIModel) -> None:
    """Deltas join to the output, and usage comes with the stream."""
    async with Agent(model).run_stream("Hello!", model_settings=SHORT) as result:
        deltas = [delta async for delta in result.stream_text(delta=True, debounce_by=None)]
        output = await result.get_output()

    assert "".join(deltas) == output
    assert len(deltas) > 1
    assert 0 < result.usage.output_tokens <= 20


@pytest.mark.parametrize("kind", [ToolOutput, NativeOutput])
async def test_output_type(model: OpenAIModel, kind: Any) -> None:
    """By a tool that must be called, or by a JSON schema."""
    result = await Agent(model, output_type=kind(Mood)).run("How are you?")

    assert isinstance(result.output, Mood)


async def test_output_type_by_instructions(scripted: OpenAIModel) -> None:
    """In JSON mode, by a model that follows the instructions to write this and no other JSON."""
    result = await Agent(scripted, output_type=PromptedOutput(Mood)).run("How do you feel?")

    assert result.output == Mood(feeling="calm", certain=True)


async def test_streamed_output_type(model: OpenAIModel) -> None:
    """The last of the partial outputs is the output."""
    async with Agent(model, output_type=NativeOutput(Mood)).run_stream("How are you?") as result:
        partial = [each async for each in result.stream_output(debounce_by=None)]
        output = await result.get_output()

    assert partial[-1] == output
    assert isinstance(output, Mood)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_tool_loop(scripted: OpenAIModel, streamed: bool) -> None:
    """The model calls, the agent runs the tool, the model answers in text."""
    agent = Agent(scripted)
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


async def test_error(kind_of_model: type[OpenAIModel], base_url: str) -> None:
    """An unknown model is an HTTP error with status and body."""
    with pytest.raises(ModelHTTPError) as caught:
        await Agent(model_at(kind_of_model, base_url, "gpt-5")).run("Hello!")

    assert caught.value.status_code == 404
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["code"] == "model_not_found"


async def test_context_overflow(model: OpenAIModel) -> None:
    """Too long a prompt is told in words that say so."""
    with pytest.raises(ModelHTTPError, match="maximum context length") as caught:
        await Agent(model).run("word " * 9000)

    assert caught.value.status_code == 400


@pytest.mark.parametrize("previous", [None, "auto"], ids=["replayed", "by id"])
async def test_thoughts(thinking_url: str, previous: Any) -> None:
    """They are kept apart from the output, and the history that holds them is accepted."""
    settings = OpenAIResponsesModelSettings()
    if previous:
        settings["openai_previous_response_id"] = previous
    agent = Agent(model_at(OpenAIResponsesModel, thinking_url), model_settings=settings)
    first = await agent.run("Think aloud!")
    second = await agent.run("Think aloud!", message_history=first.all_messages())

    assert thoughts_of(first.all_messages()) == ["Hm."]
    assert (first.output, second.output) == ("So.", "So.")


def thoughts_of(messages: list[ModelMessage]) -> list[str]:
    """The raw texts of what was thought."""
    parts = [part for message in messages if isinstance(message, ModelResponse) for part in message.parts]
    details = [part.provider_details or {} for part in parts if isinstance(part, ThinkingPart)]
    return [text for each in details for text in each["raw_content"]]


async def test_count_tokens(base_url: str) -> None:
    """A request's tokens are counted beforehand, as they are charged."""
    settings = OpenAIResponsesModelSettings(max_tokens=5)
    agent = Agent(model_at(OpenAIResponsesModel, base_url), model_settings=settings)
    counted = await agent.run("Hello!", usage_limits=UsageLimits(count_tokens_before_request=True))
    limits = UsageLimits(input_tokens_limit=3, count_tokens_before_request=True)
    with pytest.raises(UsageLimitExceeded):
        await agent.run("Hello!", usage_limits=limits)

    assert counted.usage.input_tokens > 3
