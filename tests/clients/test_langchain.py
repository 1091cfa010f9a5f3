"""LangChain's standard integration tests for chat models, through langchain-openai's `ChatOpenAI`.

They are run twice. The real model is not asked for what takes understanding (which argument a
question means, which keys to write where no schema holds them): those are marked, with the reason, and
pass in the second run, by a model that knows these answers by heart.
"""

import operator
import os
from functools import reduce
from typing import Any, Literal

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from pydantic import BaseModel, SecretStr


def needs(what: str) -> pytest.MarkDecorator:
    """Not run: no server can make a small model know this."""
    return pytest.mark.xfail(run=False, reason=f"the default model is too small: {what}")


QUOTES = {18: 4}
"""By the default model's id of `"`; the fake engine ignores it."""


class Standard(ChatModelIntegrationTests):
    """What any chat model of LangChain must do, as far as this API offers it."""

    base_url: str

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        """The class that users of OpenAI have."""
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """Those of the API, and a bias for `"`: the small model rambles in strings without end."""
        return {
            "base_url": self.base_url,
            "api_key": "any",
            "model": "gpt-4o-mini",
            "temperature": 1,
            "logit_bias": QUOTES,
            "max_tokens": 200,
            "max_retries": 0,
            # Off by default for servers other than OpenAI's.
            "stream_usage": True,
            "model_kwargs": {"parallel_tool_calls": False},
        }

    @property
    def supports_json_mode(self) -> bool:
        """JSON mode is there."""
        return True

    @property
    def model_override_value(self) -> str | None:
        """Another name of the same model."""
        return "gpt-4o-mini-2024-07-18"


class TestDefaultModel(Standard):
    """The default model."""

    base_url = os.environ["OPENAI_BASE_URL"]

    @needs("the argument must be the 3 of the question")
    def test_tool_calling(self, model: BaseChatModel) -> None:
        """Overridden for its mark only."""
        super().test_tool_calling(model)

    @needs("the argument must be the 3 of the question")
    async def test_tool_calling_async(self, model: BaseChatModel) -> None:
        """Overridden for its mark only."""
        await super().test_tool_calling_async(model)

    @needs("the argument must not be empty, which its schema allows")
    def test_bind_runnables_as_tools(self, model: BaseChatModel) -> None:
        """Overridden for its mark only."""
        super().test_bind_runnables_as_tools(model)

    @needs("it must call a tool that it may also not call")
    def test_agent_loop(self, model: BaseChatModel) -> None:
        """Overridden for its mark only."""
        super().test_agent_loop(model)

    @needs("the argument must be the Chinese name of the question")
    def test_unicode_tool_call_integration(self, model: BaseChatModel, **_: Any) -> None:
        """Overridden for its mark only."""
        super().test_unicode_tool_call_integration(model)

    @needs("it must write two certain keys, in JSON mode, where nothing holds them")
    def test_json_mode(self, model: BaseChatModel) -> None:
        """Overridden for its mark only."""
        super().test_json_mode(model)

    @needs("it must not add keys that the schema allows")
    def test_structured_output_pydantic_2_v1(self, model: BaseChatModel) -> None:
        """Overridden for its mark only."""
        super().test_structured_output_pydantic_2_v1(model)


class TestScriptedModel(Standard):
    """A model that knows by heart what the default model does not."""

    base_url = os.environ["SCRIPTED_BASE_URL"]


class TestScriptedModelByResponses(TestScriptedModel):
    """The same over the Responses API."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        """With what the client has no arguments for in the body."""
        params = super().chat_model_params
        del params["logit_bias"]
        return params | {"use_responses_api": True}


class Mood(BaseModel):
    """How somebody feels."""

    feeling: Literal["calm", "merry", "tired"]
    certain: bool


class TestResponses:
    """The real model over the Responses API, asked for what it can be held to."""

    @pytest.fixture
    def model(self) -> ChatOpenAI:
        """The default model."""
        return ChatOpenAI(
            base_url=os.environ["OPENAI_BASE_URL"],
            api_key=SecretStr("any"),
            model="gpt-4o-mini",
            use_responses_api=True,
            max_retries=0,
            temperature=0,
        )

    def test_invoke(self, model: ChatOpenAI) -> None:
        """Text, usage, and the id of a response."""
        message = model.invoke("Hello!", max_output_tokens=12)

        assert message.text
        assert message.usage_metadata is not None
        assert 0 < message.usage_metadata["output_tokens"] <= 12
        assert message.response_metadata["id"].startswith("resp_")

    def test_stream(self, model: ChatOpenAI) -> None:
        """Deltas join to the whole."""
        whole = model.invoke("Hello!", max_output_tokens=12)
        texts = [chunk.text for chunk in model.stream("Hello!", max_output_tokens=12)]

        assert "".join(texts) == whole.text
        assert len(texts) > 2

    @pytest.mark.parametrize("method", ["json_schema", "function_calling"])
    def test_structured_output(self, model: ChatOpenAI, method: Any) -> None:
        """By a schema, and by a call that must be made."""
        assert isinstance(model.with_structured_output(Mood, method=method).invoke("How are you?"), Mood)

    def test_previous_response(self, model: ChatOpenAI) -> None:
        """What came before is found by its id."""
        first = model.invoke("Hello!", max_output_tokens=5)
        second = model.invoke(
            "And you?", max_output_tokens=5, previous_response_id=first.response_metadata["id"]
        )

        assert first.usage_metadata is not None
        assert second.usage_metadata is not None
        assert second.usage_metadata["input_tokens"] > first.usage_metadata["input_tokens"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_thoughts(streamed: bool) -> None:
    """What is thought is a block of the content, which is accepted where it is sent back."""
    model = ChatOpenAI(
        base_url=os.environ["THINKING_BASE_URL"],
        api_key=SecretStr("any"),
        model="gpt-4o-mini",
        use_responses_api=True,
        output_version="responses/v1",
        max_retries=0,
    )
    question = HumanMessage("Think aloud!")
    if streamed:
        first: BaseMessage = reduce(operator.add, model.stream([question]))
    else:
        first = model.invoke([question])
    second = model.invoke([question, first, question])

    assert [block["type"] for block in first.content if isinstance(block, dict)] == ["reasoning", "text"]
    assert first.text == second.text == "So."
