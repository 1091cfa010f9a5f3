"""The table of request fields against what OpenAI's SDK can send."""

from typing import Any, get_type_hints

import pytest
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from antiphon.api.wire.fields import FIELDS, read_fields, unknown_fields
from antiphon.api.wire.reader import Cursor
from antiphon.core.errors import InvalidRequest, UnsupportedParameter

MINIMAL: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}

# For every field of the table, a value that asks for something.
VALUES: dict[str, object] = {
    "model": "other",
    "messages": [{"role": "developer", "content": "Be brief."}],
    "max_completion_tokens": 5,
    "max_tokens": 5,
    "n": 2,
    "temperature": 0.5,
    "top_p": 0.5,
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "seed": -1,
    "stop": ["\n"],
    "logit_bias": {"50": -100},
    "logprobs": True,
    "top_logprobs": 3,
    "stream": True,
    "stream_options": {"include_usage": True},
    "response_format": {"type": "json_object"},
    "top_k": 40,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "min_tokens": 3,
    "ignore_eos": True,
    "stop_token_ids": [2],
    "budget_hint": True,
    "structured_outputs": {"regex": "[ab]"},
    "guided_json": {"type": "object"},
    "guided_regex": "[ab]",
    "guided_choice": ["yes", "no"],
    "guided_grammar": 'start: "a"',
    "chat_template_kwargs": {"enable_thinking": False},
    "store": True,
    "metadata": {"a": "b"},
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "service_tier": "priority",
    "reasoning_effort": "high",
    "verbosity": "low",
    "prediction": {"type": "content", "content": "x"},
    "parallel_tool_calls": False,
    "audio": {"format": "wav", "voice": "alloy"},
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": "required",
    "functions": [FUNCTION],
    "function_call": {"name": "f"},
    "modalities": ["text", "audio"],
    "web_search_options": {},
    "moderation": {"model": "omni-moderation-latest"},
}

BY_NAME = {field.name: field for field in FIELDS}


def test_table_knows_every_field_of_the_sdk() -> None:
    """A field that a new SDK can send is missed here, and not by a user."""
    published = {
        name
        for params in (CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming)
        for name in get_type_hints(params)
    }
    assert published - set(BY_NAME) == set()


def test_table_names_each_field_once() -> None:
    """And this test has a value for each."""
    assert len(BY_NAME) == len(FIELDS)
    assert set(VALUES) == set(BY_NAME)


@pytest.mark.parametrize("name", [field.name for field in FIELDS if field.verdict == "supported"])
def test_supported_field_changes_what_is_read(name: str) -> None:
    """A value that asks for something differs from the default."""
    values = read_fields(Cursor({**MINIMAL, name: VALUES[name]}))
    assert values[BY_NAME[name]] != read_fields(Cursor(MINIMAL))[BY_NAME[name]]


@pytest.mark.parametrize("name", [field.name for field in FIELDS if field.verdict == "without effect"])
def test_field_without_effect_passes_for_a_reason(name: str) -> None:
    """It is accepted, and the table says why nothing comes of it."""
    read_fields(Cursor({**MINIMAL, name: VALUES[name]}))
    assert BY_NAME[name].reason.endswith(".")


@pytest.mark.parametrize("name", [field.name for field in FIELDS if field.verdict == "refused"])
def test_refused_field_is_refused_by_name(name: str) -> None:
    """As soon as it asks for something, and with a reason."""
    with pytest.raises(UnsupportedParameter) as caught:
        read_fields(Cursor({**MINIMAL, name: VALUES[name]}))
    assert caught.value.param == name
    assert caught.value.reason


@pytest.mark.parametrize("name", sorted(set(VALUES) - {"model", "messages"}))
def test_null_is_absent(name: str) -> None:
    """SDKs send null for what callers set to None."""
    field = BY_NAME[name]
    assert read_fields(Cursor({**MINIMAL, name: None}))[field] == field.default


@pytest.mark.parametrize("name", sorted(VALUES))
def test_every_field_is_checked_for_its_type(name: str) -> None:
    """Whatever the verdict, a value of a wrong type is an error that names the field."""
    wrong: Any = 1.5 if not isinstance(VALUES[name], float) else "1"
    with pytest.raises(InvalidRequest) as caught:
        read_fields(Cursor({**MINIMAL, name: wrong}))
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", []),
        ("functions", []),
        ("tool_choice", "none"),
        ("tool_choice", "auto"),
        ("function_call", "auto"),
        ("modalities", ["text"]),
        ("response_format", {"type": "text"}),
        ("stop", []),
        ("stop", ""),
        ("top_k", -1),
        ("top_k", 0),
        ("seed", -(2**63)),
        ("seed", 2**63 - 1),
        ("n", 128),
        ("temperature", 2),
        ("temperature", 0),
        ("max_tokens", 10.0),
    ],
)
def test_edge_values_pass(name: str, value: object) -> None:
    """Bounds are inclusive, and empty forms ask for nothing."""
    read_fields(Cursor({**MINIMAL, name: value}))


def test_unknown_fields_are_found() -> None:
    """In the order they were sent."""
    assert unknown_fields(Cursor({"z": 1, **MINIMAL, "a": None})) == ("z", "a")
