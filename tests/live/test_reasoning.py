"""A model that thinks, under a schema and with tools: a real one, of random weights."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from openai import OpenAI

import antiphon
from tests.tiny_models import CHATML, TinyModel, write_tiny_model

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

THINKING = CHATML.replace("<|im_start|>assistant\\n", "<|im_start|>assistant\\n<think>\\n")
CLOSING = 3 + 256 + 5 + 1
"""The id of the tag that ends the block: the last one."""
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["a", "b"]}, "sure": {"type": "boolean"}},
    "required": ["kind", "sure"],
    "additionalProperties": False,
}
ASKED: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "hi"}],
    # A model of random weights would think for ever.
    "logit_bias": {str(CLOSING): 7},
    "seed": 5,
    "max_tokens": 400,
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """Of a server whose model's template opens the block in the prompt."""
    model = TinyModel("qwen3", context_length=2048, kept=("<think>", "</think>"), chat_template=THINKING)
    path = write_tiny_model(tmp_path_factory.mktemp("thinking") / "tiny.gguf", model)
    with antiphon.serve(path) as server, OpenAI(base_url=server.url, api_key=server.api_key) as connected:
        yield connected


def test_schema_holds_behind_the_block(client: OpenAI) -> None:
    """What was thought is kept apart and counted; whole and streamed alike."""
    wanted: dict[str, Any] = {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
    }
    asked: dict[str, Any] = {**ASKED, "response_format": wanted}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True))
    message, usage = whole.choices[0].message, whole.usage
    deltas = [chunk.choices[0].delta.model_dump() for chunk in chunks]
    thought = message.model_dump().get("reasoning_content", "")

    jsonschema.validate(json.loads(message.content or ""), SCHEMA)
    assert "".join(delta.get("content") or "" for delta in deltas) == message.content
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == thought
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert 0 < (usage.completion_tokens_details.reasoning_tokens or 0) < usage.completion_tokens


def test_call_comes_behind_the_block(client: OpenAI) -> None:
    """With valid arguments."""
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
    choice: Any = {"type": "function", "function": {"name": "f"}}
    asked: dict[str, Any] = {**ASKED, "tools": [tool], "tool_choice": choice}
    (call,) = client.chat.completions.create(**asked).choices[0].message.tool_calls or []

    assert call.type == "function"
    jsonschema.validate(json.loads(call.function.arguments), SCHEMA)


def test_effort_none_thinks_nothing(client: OpenAI) -> None:
    """The block is closed in the prompt, and the schema holds from the first token on."""
    wanted: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    asked: dict[str, Any] = {**ASKED, "response_format": wanted, "reasoning_effort": "none"}
    whole = client.chat.completions.create(**asked)

    jsonschema.validate(json.loads(whole.choices[0].message.content or ""), SCHEMA)
    assert "reasoning_content" not in whole.choices[0].message.model_dump()
