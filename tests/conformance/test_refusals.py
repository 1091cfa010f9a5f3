"""Bad requests and the errors they get, over a real socket, streamed or not."""

import json

import pytest
from openai.types.chat import ChatCompletion

from tests.unit.api.live import running
from tests.unit.api.scripted import ScriptedCompletions

USER = {"role": "user", "content": "Hi"}
TOOLS = [{"type": "function", "function": {"name": "f"}}]
CALLER = {
    "role": "assistant",
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
SCHEMA_FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}

# What is sent besides (or instead of) a good model and messages; then status, code and param.
REFUSALS: list[tuple[dict[str, object], int, str | None, str | None]] = [
    ({"model": None}, 400, "missing_required_parameter", "model"),
    ({"model": 7}, 400, "invalid_type", "model"),
    ({"model": "gpt-99"}, 404, "model_not_found", None),
    ({"messages": None}, 400, "missing_required_parameter", "messages"),
    ({"messages": []}, 400, "empty_array", "messages"),
    ({"messages": "Hi"}, 400, "invalid_type", "messages"),
    ({"messages": [USER] * 4097}, 400, "array_above_max_length", "messages"),
    ({"messages": [{"content": "Hi"}]}, 400, "missing_required_parameter", "messages[0].role"),
    ({"messages": [USER, {"role": "wizard", "content": ""}]}, 400, "invalid_value", "messages[1].role"),
    ({"messages": [{"role": "user", "content": None}]}, 400, None, "messages.[0].content"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        400,
        "invalid_value",
        "messages[0].content[0].type",
    ),
    ({"temperature": 2.1}, 400, "decimal_above_max_value", "temperature"),
    ({"temperature": -0.1}, 400, "decimal_below_min_value", "temperature"),
    ({"temperature": "hot"}, 400, "invalid_type", "temperature"),
    ({"temperature": True}, 400, "invalid_type", "temperature"),
    ({"top_p": 1.1}, 400, "decimal_above_max_value", "top_p"),
    ({"n": 0}, 400, "integer_below_min_value", "n"),
    ({"n": 129}, 400, "integer_above_max_value", "n"),
    ({"n": "2"}, 400, "invalid_type", "n"),
    ({"n": 1.5}, 400, "invalid_type", "n"),
    ({"n": True}, 400, "invalid_type", "n"),
    ({"max_tokens": 0}, 400, "integer_below_min_value", "max_tokens"),
    ({"max_completion_tokens": -1}, 400, "integer_below_min_value", "max_completion_tokens"),
    ({"max_completion_tokens": 10**30}, 400, "integer_above_max_value", "max_completion_tokens"),
    ({"stop": ["x"] * 17}, 400, "array_above_max_length", "stop"),
    ({"stop": {"a": 1}}, 400, "invalid_type", "stop"),
    ({"stop": "x" * 257}, 400, "string_above_max_length", "stop"),
    ({"seed": 2**63}, 400, "integer_above_max_value", "seed"),
    ({"frequency_penalty": 3}, 400, "decimal_above_max_value", "frequency_penalty"),
    ({"presence_penalty": -3}, 400, "decimal_below_min_value", "presence_penalty"),
    ({"logit_bias": {"x": 1}}, 400, "invalid_value", "logit_bias"),
    ({"logit_bias": {"1": 200}}, 400, "decimal_above_max_value", "logit_bias.1"),
    ({"logit_bias": {"100": 1}}, 400, "invalid_value", "logit_bias"),
    ({"logit_bias": [1]}, 400, "invalid_type", "logit_bias"),
    ({"top_logprobs": 5}, 400, None, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, 400, "integer_above_max_value", "top_logprobs"),
    ({"logprobs": 1}, 400, "invalid_type", "logprobs"),
    ({"stream_options": {"include_usage": "yes"}}, 400, "invalid_type", "stream_options.include_usage"),
    ({"response_format": "json"}, 400, "invalid_type", "response_format"),
    ({"response_format": {"type": "xml"}}, 400, "invalid_value", "response_format.type"),
    (
        {"response_format": {"type": "json_schema"}},
        400,
        "missing_required_parameter",
        "response_format.json_schema",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        400,
        "missing_required_parameter",
        "response_format.json_schema.name",
    ),
    ({"tools": [{"type": "retrieval"}]}, 400, "invalid_value", "tools[0].type"),
    (
        {"tools": [{"type": "custom", "custom": {"name": "a b"}}]},
        400,
        "invalid_value",
        "tools[0].custom.name",
    ),
    ({"tools": [{"type": "function"}]}, 400, "missing_required_parameter", "tools[0].function"),
    (
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        400,
        "invalid_value",
        "tools[0].function.name",
    ),
    (
        {"functions": [{"name": "f", "parameters": {"type": "array"}}]},
        400,
        "invalid_function_parameters",
        "functions[0].parameters",
    ),
    ({"tool_choice": "required"}, 400, None, "tool_choice"),
    ({"tools": TOOLS, "tool_choice": "any"}, 400, "invalid_value", "tool_choice"),
    (
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "g"}}},
        400,
        None,
        "tool_choice",
    ),
    ({"tools": TOOLS, "functions": [{"name": "f"}]}, 400, None, "functions"),
    ({"function_call": {"name": "f"}}, 400, None, "function_call"),
    ({"messages": [USER, {"role": "tool", "tool_call_id": "c"}]}, 400, None, "messages.[1].role"),
    ({"messages": [USER, CALLER]}, 400, None, "messages.[1].role"),
    ({"modalities": ["text", "audio"]}, 400, "unsupported_parameter", "modalities"),
    ({"web_search_options": {}}, 400, "unsupported_parameter", "web_search_options"),
    ({"moderation": {"model": "x"}}, 400, "unsupported_parameter", "moderation"),
    ({"service_tier": "gold"}, 400, "invalid_value", "service_tier"),
    ({"metadata": {"k": 1}}, 400, "invalid_type", "metadata.k"),
    ({"metadata": {"k": "v" * 513}}, 400, "string_above_max_length", "metadata.k"),
    ({"store": "yes"}, 400, "invalid_type", "store"),
]


async def test_bad_request_gets_its_error_and_runs_nothing() -> None:
    """Status, code and param of each; the same whether a stream was asked for or not."""
    completions = ScriptedCompletions()
    async with running(completions) as live:
        for fields, status, code, param in REFUSALS:
            for stream in (False, True):
                response = await live.chat(**{"stream": stream, **fields})
                error = response.json()["error"]
                got = (response.status_code, error["code"], error["param"])
                assert got == (status, code, param), fields
                assert set(error) == {"message", "type", "param", "code"}
                assert error["type"] == "invalid_request_error"
                assert response.headers["content-type"] == "application/json"
    assert completions.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
        {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {
            "tools": TOOLS,
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": TOOLS}},
        },
        {"functions": [{"name": "f", "parameters": None}], "function_call": {"name": "f"}},
        {"messages": [USER, CALLER, {"role": "tool", "tool_call_id": "c", "content": "1"}]},
        {"response_format": {"type": "text"}},
        {"response_format": {**SCHEMA_FORMAT, "strict": True}},
        {"n": 2.0, "max_tokens": 5, "max_completion_tokens": 6},
        {"stop": ["a"] * 16, "user": "u", "metadata": {}, "store": True},
        {"stream_options": {"include_usage": True}},
        {"top_k": -1, "min_p": 0, "repetition_penalty": 1.0, "min_tokens": 0, "ignore_eos": False},
        dict.fromkeys(
            ("temperature", "n", "stop", "tools", "seed", "logprobs", "metadata", "response_format")
        ),
    ],
)
async def test_good_request_is_accepted(fields: dict[str, object]) -> None:
    """What clients send to any server of this API."""
    async with running() as live:
        response = await live.chat(**fields)
    assert response.status_code == 200, response.text


async def test_body_that_is_not_json_gets_the_hint() -> None:
    """OpenAI's words, without a code."""
    async with running() as live:
        for body in (b"", b"{", b"{'a':1}", b'{"n": NaN}', b'{"a":"\xff"}', b"[" * 5000):
            response = await live.client.post(
                "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
            )
            error = response.json()["error"]
            assert response.status_code == 400
            assert error["message"].startswith("We could not parse the JSON body of your request. (HINT: ")
            assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)


async def test_error_does_not_grow_with_the_request() -> None:
    """Whatever is sent, a short answer comes back."""
    long = "<" * 100_000
    requests: list[dict[str, object]] = [
        {"model": long},
        {"messages": [{"role": long, "content": ""}]},
        {"messages": [{"role": "user", "content": [{"type": long}]}]},
        {"metadata": {long: ""}},
        {"logit_bias": {long: 1}},
        {"service_tier": long},
        {"messages": [{"role": long}] * 1000},
    ]
    async with running() as live:
        for fields in requests:
            response = await live.chat(**fields)
            assert 400 <= response.status_code < 500
            assert len(response.content) <= 4096
            assert "<" * 200 not in response.text


async def test_sdk_dump_of_an_answer_can_be_sent_back() -> None:
    """A whole conversation replayed as the SDK dumps it."""
    async with running() as live:
        answer = ChatCompletion.model_validate_json((await live.chat()).content)
        replayed = answer.choices[0].message.model_dump()
        response = await live.chat(messages=[USER, replayed, USER])
    assert json.loads(json.dumps(replayed))["tool_calls"] is None
    assert response.status_code == 200
