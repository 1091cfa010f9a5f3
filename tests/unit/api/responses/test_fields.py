"""What OpenAI's SDK can send to `/v1/responses`: every field, tool, choice and item has its verdict here."""

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from openai.types.responses import ResponseIncludable, ToolParam
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
    ToolChoice,
)
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from openai.types.responses.service_tier import ServiceTier
from openai.types.shared import ReasoningEffort

from antiphon.api.app import ApiOptions
from antiphon.api.decode import decode_chat
from antiphon.api.responses.decode import ResponseCall, decode_response
from antiphon.api.responses.fields import FIELDS
from antiphon.core.errors import InvalidRequest, InvalidValue, UnsupportedParameter
from tests.unit.api.fake_server import fake_server
from tests.unit.api.scripted import registry

PATH = "/v1/responses"
ASK: dict[str, Any] = {"model": "m", "input": "Hi"}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}

# For every field a value that asks for something.
REFUSED: dict[str, Any] = {
    "background": True,
    "background_options": {"completion_window": "2h"},
    "conversation": "conv_1",
    "prompt": {"id": "pmpt_1"},
    "context_management": [{"type": "compaction"}],
    "moderation": {"model": "omni"},
}
IDLE: dict[str, Any] = {
    "user": "u",
    "safety_identifier": "s",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "max_tool_calls": 3,
    "image": {"context_compression": "auto"},
    "access_programs": {"cyber": "standard"},
}
SUPPORTED: dict[str, Any] = {
    "model": "org/m:1",
    "input": [{"role": "developer", "content": "Be brief."}],
    "instructions": "Be brief.",
    "previous_response_id": "resp_1",
    "max_output_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_logprobs": 3,
    "include": ["reasoning.encrypted_content"],
    "text": {"format": {"type": "json_object"}},
    "tools": [TOOL],
    "tool_choice": "none",
    "parallel_tool_calls": False,
    "stream": True,
    "stream_options": {"include_obfuscation": True},
    "store": False,
    "metadata": {"k": "v"},
    "service_tier": "flex",
    "prompt_cache_key": "k",
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "seed": 7,
    "stop": ["\n"],
    "logit_bias": {"50": -100},
    "chat_template_kwargs": {"thinking": True},
    "top_k": 40,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "min_tokens": 3,
    "ignore_eos": True,
    "stop_token_ids": [2],
    "budget_hint": True,
    "reasoning": {"effort": "low"},
}
NEUTRAL = {"truncation": "disabled"}
"""Supported in its neutral value only."""


def decoded(**fields: Any) -> ResponseCall:
    """A request with these fields, as it is read."""
    return decode_response(ASK | fields, registry(), ApiOptions())


def kinds(union: Any) -> Iterator[str]:
    """Every `type` that the members of a union of the SDK's can have."""
    if hasattr(union, "__annotations__") and hasattr(union, "__total__"):
        yield from literals(get_type_hints(union).get("type"))
    elif get_origin(union) is not None:
        for member in get_args(union):
            yield from kinds(member)


def literals(hint: Any) -> Iterator[str]:
    """The strings that a type allows, which may be optional."""
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    else:
        for member in get_args(hint):
            yield from literals(member)


def test_table_knows_every_field_of_the_sdk() -> None:
    """A field that a new SDK can send is missed here, and not by a user."""
    published = {
        name
        for params in (ResponseCreateParamsNonStreaming, ResponseCreateParamsStreaming)
        for name in get_type_hints(params)
    }

    assert published - {field.name for field in FIELDS} == set()


def test_every_field_has_a_value_here() -> None:
    """So that the tests below forget none."""
    by_verdict = {"refused": REFUSED, "without effect": IDLE, "supported": SUPPORTED | NEUTRAL}
    for verdict, values in by_verdict.items():
        assert {field.name for field in FIELDS if field.verdict == verdict} == set(values)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_fields_are_named(name: str) -> None:
    """As soon as they ask for something, with a reason."""
    with pytest.raises(UnsupportedParameter) as caught:
        decoded(**{name: REFUSED[name]})

    assert caught.value.param == name
    assert caught.value.reason


@pytest.mark.parametrize("name", IDLE)
async def test_fields_without_effect_change_nothing(name: str) -> None:
    """The same output as without them."""
    ask = {"model": "fake", "input": "Hi", "seed": 7, "max_output_tokens": 12}
    async with fake_server() as server:
        plain, idle = await server.post(PATH, ask), await server.post(PATH, ask | {name: IDLE[name]})

    assert idle["output"][0]["content"] == plain["output"][0]["content"]


@pytest.mark.parametrize("name", SUPPORTED)
def test_supported_fields_change_what_is_asked(name: str) -> None:
    """Each differs from a request without it."""
    with_tools = {"tools": [TOOL]} if name == "tool_choice" else {}

    assert decoded(**with_tools, **{name: SUPPORTED[name]}) != decoded(**with_tools)


@pytest.mark.parametrize("name", sorted((SUPPORTED | NEUTRAL | IDLE | REFUSED).keys() - {"model", "input"}))
def test_null_is_absent(name: str) -> None:
    """SDKs send null for what callers set to None."""
    assert decoded(**{name: None}) == decoded()


@pytest.mark.parametrize("name", SUPPORTED | NEUTRAL | IDLE)
def test_every_field_is_checked_for_its_type(name: str) -> None:
    """Whatever the verdict, a value of a wrong type is an error that names the field."""
    wrong = "1" if isinstance(SUPPORTED.get(name), float) else 1.5
    with pytest.raises(InvalidRequest) as caught:
        decoded(**{name: wrong})

    assert caught.value.param == name


@pytest.mark.parametrize("kind", sorted(set(kinds(ToolParam))))
def test_every_tool_of_the_sdk_is_known_or_refused_by_name(kind: str) -> None:
    """What the server would have to run is not."""
    tool = {"type": kind, "name": "t", "parameters": {"type": "object"}}
    if kind in ("function", "custom"):
        assert [each.name for each in decoded(tools=[tool]).request.tools] == ["t"]
        return
    with pytest.raises(UnsupportedParameter) as caught:
        decoded(tools=[tool])

    assert caught.value.param == "tools[0].type"
    assert f"'{kind}'" in caught.value.reason


@pytest.mark.parametrize("kind", sorted(set(kinds(ToolChoice))))
def test_every_choice_of_the_sdk_is_known_or_refused_by_name(kind: str) -> None:
    """That of a tool, or of some."""
    choice: dict[str, Any] = {"type": kind, "name": "f", "mode": "auto", "tools": [TOOL]}
    if kind in ("function", "custom", "allowed_tools"):
        tools = [TOOL | {"type": "custom" if kind == "custom" else "function"}]
        assert decoded(tools=tools, tool_choice=choice).request.tool_choice.names == ("f",)
        return
    with pytest.raises(UnsupportedParameter) as caught:
        decoded(tools=[TOOL], tool_choice=choice)

    assert caught.value.param == "tool_choice.type"


ITEMS: dict[str, dict[str, Any]] = {
    "message": {"role": "user", "content": "Hi"},
    "function_call": {"call_id": "c", "name": "f", "arguments": "{}"},
    "function_call_output": {"call_id": "c", "output": "ok"},
    "custom_tool_call": {"call_id": "c", "name": "f", "input": "x"},
    "custom_tool_call_output": {"call_id": "c", "output": "ok"},
    "reasoning": {"id": "rs_1", "summary": []},
    "item_reference": {"id": "msg_1"},
}


@pytest.mark.parametrize("kind", sorted(set(kinds(ResponseInputItemParam)) | set(ITEMS)))
def test_every_item_of_the_sdk_is_known_or_refused_by_name(kind: str) -> None:
    """Those of tools that a server runs are not."""
    item = {"type": kind, **ITEMS.get(kind, {})}
    if kind in ITEMS:
        assert decoded(input=[item]).items[0].raw == item
        return
    with pytest.raises(InvalidValue) as caught:
        decoded(input=[item])

    assert caught.value.param == "input[0].type"
    assert kind in caught.value.reason


@pytest.mark.parametrize(
    "fields",
    [
        *({"include": [value]} for value in literals(ResponseIncludable)),
        *({"service_tier": value} for value in literals(ServiceTier)),
        *({"reasoning": {"effort": value}} for value in literals(ReasoningEffort)),
    ],
    ids=str,
)
def test_every_published_value_passes(fields: dict[str, Any]) -> None:
    """A client that writes one of them is not turned away."""
    decoded(**fields)


@pytest.mark.parametrize(("effort", "thinks"), [("none", False), ("low", True)])
def test_effort_is_told_to_the_template_as_chat_tells_it(effort: str, thinks: bool) -> None:
    """And repeated in the response, which says that there is no summary."""
    call = decoded(reasoning={"effort": effort, "summary": "auto"})
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": effort}

    assert (
        call.request.template_options == decode_chat(chat, registry(), ApiOptions()).request.template_options
    )
    assert call.request.template_options["enable_thinking"] is thinks
    assert call.facts["reasoning"] == {"effort": effort, "summary": None}
