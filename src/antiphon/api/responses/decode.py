"""From the wire to the conversation vocabulary: a response request becomes a `ChatRequest`.

What the request goes on behind is not here but stored: `context` finds it. The rules that concern several
fields live here; what one field may hold is in `fields`. Nothing here runs, renders or counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.api.decode import (
    body_cursor,
    check_choice,
    check_token_ids,
    model_defaults,
    sampling_options,
    template_options,
    tier_of,
)
from antiphon.api.options import ApiOptions
from antiphon.api.responses import fields as own
from antiphon.api.responses.items import InputItem
from antiphon.api.responses.shapes import ENCODED_REASONING, LOGPROBS
from antiphon.api.wire import fields
from antiphon.api.wire.fields import FieldValues, read_fields
from antiphon.core.messages import ChatRequest, ToolChoice
from antiphon.service.models import ModelRegistry


@dataclass(frozen=True, slots=True)
class ResponseCall:
    """A decoded call: what to answer, and how the answer is to be spelled and kept."""

    request: ChatRequest
    """Still without messages."""
    instructions: str | None
    items: tuple[InputItem, ...]
    previous: str | None
    """The id of the response to go on behind, as it was spelled."""
    facts: Mapping[str, Any]
    """What the response repeats of its request."""
    metadata: Mapping[str, str]
    encoded: bool
    """Items of reasoning repeat what was thought in `encrypted_content`."""
    store: bool | None
    """None: it was not said."""
    stream: bool
    obfuscate: bool
    truncate: bool
    """A conversation that is longer than the context may be shortened."""
    ignored: tuple[str, ...]
    """Fields the caller sent that nobody knows, as it spelled them."""


def decode_response(body: object, models: ModelRegistry, options: ApiOptions) -> ResponseCall:
    """Check a whole request.

    Raises:
        InvalidRequest: the first violation, with its path.
        ModelNotFound: nobody configured the model.
    """
    cursor, unknown = body_cursor(body, own.FIELDS, options)
    values = read_fields(cursor, own.FIELDS, model_defaults(cursor, models, own.MAX_OUTPUT_TOKENS))
    check_choice("tool_choice", "tools", values[own.TOOL_CHOICE], values[own.TOOLS])
    request = _request(values)
    check_token_ids(request, models.get(request.model).vocab_size)
    return ResponseCall(
        request=request,
        instructions=values[own.INSTRUCTIONS],
        items=values[own.INPUT],
        previous=values[own.PREVIOUS],
        facts=_facts(values, cursor.value if isinstance(cursor.value, dict) else {}),
        metadata=values[fields.METADATA],
        encoded=ENCODED_REASONING in values[own.INCLUDE],
        store=values[own.STORE],
        stream=values[fields.STREAM],
        obfuscate=values[own.STREAM_OPTIONS],
        truncate=values[own.TRUNCATION] == "auto",
        ignored=unknown,
    )


def decode_count(body: object, models: ModelRegistry, options: ApiOptions) -> ResponseCall:
    """Check a request whose input is only counted: the model and the input may be left out.

    Raises:
        InvalidRequest, ModelNotFound: as `decode_response` does.
    """
    if isinstance(body, dict):
        told = {name: value for name, value in body.items() if value is not None}
        body = {"model": models.list()[0].id, "input": []} | told
    return decode_response(body, models, options)


def _request(values: FieldValues) -> ChatRequest:
    return ChatRequest(
        model=values[fields.MODEL],
        messages=(),
        sampling=sampling_options(values),
        max_tokens=values[own.MAX_OUTPUT_TOKENS],
        stop=values[fields.STOP],
        response_format=values[own.TEXT].wanted,
        top_logprobs=_top_logprobs(values),
        min_tokens=values[fields.MIN_TOKENS],
        ignore_eos=values[fields.IGNORE_EOS],
        stop_token_ids=values[fields.STOP_TOKEN_IDS],
        budget_hint=values[fields.BUDGET_HINT],
        tools=values[own.TOOLS],
        tool_choice=values[own.TOOL_CHOICE] or ToolChoice(),
        parallel_tool_calls=values[fields.PARALLEL_TOOL_CALLS],
        tier=tier_of(values),
        cache_key=values[fields.PROMPT_CACHE_KEY],
        template_options=template_options(values[own.REASONING], values[fields.CHAT_TEMPLATE_KWARGS]),
    )


def _top_logprobs(values: FieldValues) -> int | None:
    top = values[own.TOP_LOGPROBS] or 0
    return top if top or LOGPROBS in values[own.INCLUDE] else None


def _facts(values: FieldValues, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request's part of a response object, in OpenAI's words."""
    text = values[own.TEXT]
    return {
        "instructions": values[own.INSTRUCTIONS],
        "max_output_tokens": values[own.MAX_OUTPUT_TOKENS],
        "max_tool_calls": body.get("max_tool_calls"),
        "parallel_tool_calls": values[fields.PARALLEL_TOOL_CALLS],
        "previous_response_id": values[own.PREVIOUS],
        "prompt_cache_key": body.get("prompt_cache_key"),
        # Whatever was wished for, there is no summary.
        "reasoning": {"effort": values[own.REASONING], "summary": None},
        "safety_identifier": body.get("safety_identifier"),
        "temperature": values[fields.TEMPERATURE],
        "text": {"format": text.raw or {"type": "text"}, "verbosity": text.verbosity or "medium"},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": [_tool(tool) for tool in body.get("tools") or ()],
        "top_logprobs": values[own.TOP_LOGPROBS] or 0,
        "top_p": values[fields.TOP_P],
        "truncation": values[own.TRUNCATION],
        "user": body.get("user"),
    }


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool as it was sent, with the keys that typed clients need."""
    own = {"format": {"type": "text"}} if tool["type"] == "custom" else {"parameters": None, "strict": None}
    return {"description": None, **own, **tool}
