"""From the wire to the conversation vocabulary: a decoded JSON body becomes a `ChatRequest`.

The rules that concern several fields at once live here; what one field may hold is in `wire`.
Defaults of sampling are the model's own or the table's. Nothing here runs, renders or counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from antiphon.api.options import ApiOptions
from antiphon.api.stored import StoreWish, store_wish
from antiphon.api.wire import fields
from antiphon.api.wire.fields import Field, FieldValues, read_fields, unknown_fields
from antiphon.api.wire.reader import Cursor, read_object
from antiphon.api.wire.words import excerpt, type_name
from antiphon.core.errors import InvalidValue, ModelNotFound, NumberOutOfRange, UnknownParameter
from antiphon.core.messages import (
    AnswerOptions,
    ChatRequest,
    CustomTool,
    ResponseFormat,
    SamplingOptions,
    ServiceTier,
    Tool,
    ToolChoice,
)
from antiphon.service.models import ModelDefaults, ModelRegistry

_TIERS: Final[Mapping[str, ServiceTier]] = MappingProxyType({"flex": "flex", "priority": "priority"})


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A decoded call: what to answer, and how the answer is to be spelled."""

    request: ChatRequest
    stream: bool
    include_usage: bool
    obfuscate: bool
    functions: bool
    """Calls are to be spelled in the deprecated form."""
    wish: StoreWish | None
    """What to keep, where the answer is to be stored."""
    ignored: tuple[str, ...]
    """Fields the caller sent that nobody knows, as it spelled them."""


def decode_chat(body: object, models: ModelRegistry, options: ApiOptions) -> ChatCall:
    """Check a whole request.

    Raises:
        InvalidRequest: the first violation, with its path.
        ModelNotFound: nobody configured the model.
    """
    cursor, unknown = body_cursor(body, fields.FIELDS, options)
    values = read_fields(cursor, fields.FIELDS, model_defaults(cursor, models, fields.MAX_TOKENS))
    _check_choices(values, options)
    request = _request(values)
    check_token_ids(request, models.get(request.model).vocab_size)
    streamed = values[fields.STREAM]
    stream_options = values[fields.STREAM_OPTIONS]
    return ChatCall(
        request=request,
        stream=streamed,
        include_usage=stream_options.include_usage,
        obfuscate=stream_options.include_obfuscation,
        functions=bool(values[fields.FUNCTIONS]),
        wish=store_wish(read_object(cursor), values, options),
        ignored=unknown,
    )


def body_cursor(
    body: object, table: Sequence[Field[Any]], options: ApiOptions
) -> tuple[Cursor, tuple[str, ...]]:
    """A request's body, which must be an object, and its fields that are not in the table.

    Raises:
        InvalidValue: it is no object.
        UnknownParameter: there are such fields, and the server is strict.
    """
    if not isinstance(body, dict):
        got = type_name(body)
        reason = f"Invalid body: expected an object, but got {got} instead."
        raise InvalidValue(None, reason, code="invalid_type")
    cursor = Cursor(body)
    unknown = unknown_fields(cursor, table)
    if unknown and options.strict_fields:
        raise UnknownParameter(unknown[0])
    return cursor, unknown


def model_defaults(cursor: Cursor, models: ModelRegistry, max_tokens: Field[Any]) -> Mapping[str, object]:
    """What holds for fields that a request leaves out, by name, where its model has defaults of its own.

    `max_tokens` is the field that bounds the answer. A model that is not served has none.
    """
    name = cursor.field(fields.MODEL.name).value
    try:
        defaults = models.get(name if isinstance(name, str) else "").defaults
    except ModelNotFound:
        return {}
    return stated_defaults(defaults, max_tokens)


def stated_defaults(defaults: ModelDefaults, max_tokens: Field[Any]) -> Mapping[str, float]:
    """Those that are set, by the name of the field they hold for; `max_tokens` is as in `model_defaults`."""
    stated = (
        (fields.TEMPERATURE, defaults.temperature),
        (fields.TOP_P, defaults.top_p),
        (fields.TOP_K, defaults.top_k),
        (fields.MIN_P, defaults.min_p),
        (fields.FREQUENCY_PENALTY, defaults.frequency_penalty),
        (fields.PRESENCE_PENALTY, defaults.presence_penalty),
        (fields.REPETITION_PENALTY, defaults.repetition_penalty),
        (max_tokens, defaults.max_tokens),
    )
    return {field.name: value for field, value in stated if value is not None}


def _request(values: FieldValues) -> ChatRequest:
    max_completion_tokens = values[fields.MAX_COMPLETION_TOKENS]
    max_tokens = values[fields.MAX_TOKENS]
    tools, choice = _tools(values)
    return ChatRequest(
        model=values[fields.MODEL],
        messages=values[fields.MESSAGES],
        sampling=sampling_options(values),
        choices=values[fields.N],
        max_tokens=max_tokens if max_completion_tokens is None else max_completion_tokens,
        stop=values[fields.STOP],
        response_format=one_format(values),
        top_logprobs=_top_logprobs(values),
        min_tokens=values[fields.MIN_TOKENS],
        ignore_eos=values[fields.IGNORE_EOS],
        stop_token_ids=values[fields.STOP_TOKEN_IDS],
        budget_hint=values[fields.BUDGET_HINT],
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=values[fields.PARALLEL_TOOL_CALLS] and not values[fields.FUNCTIONS],
        tier=tier_of(values),
        cache_key=values[fields.PROMPT_CACHE_KEY],
        template_options=template_options(
            values[fields.REASONING_EFFORT], values[fields.CHAT_TEMPLATE_KWARGS]
        ),
    )


def one_format(values: FieldValues) -> ResponseFormat | None:
    """The one format asked for, in whichever field."""
    asked = [(field.name, values[field]) for field in fields.FORMATS if values[field] is not None]
    if len(asked) > 1:
        (first, _), (second, _) = asked[:2]
        reason = f"Invalid value for '{second}': only one of '{first}' and '{second}' can be specified."
        raise InvalidValue(second, reason, code=None)
    return asked[0][1] if asked else None


def _tools(values: FieldValues) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The tools and the choice among them, from either form."""
    functions, tools = values[fields.FUNCTIONS], values[fields.TOOLS]
    if functions and tools:
        reason = "Invalid value for 'functions': only one of 'functions' and 'tools' can be specified."
        raise InvalidValue("functions", reason, code=None)
    check_choice("function_call", "functions", values[fields.FUNCTION_CALL], functions)
    check_choice("tool_choice", "tools", values[fields.TOOL_CHOICE], tools)
    choice = values[fields.FUNCTION_CALL] if functions else values[fields.TOOL_CHOICE]
    return functions or tools, choice or ToolChoice()


def check_choice(name: str, among: str, choice: ToolChoice | None, tools: tuple[Tool, ...]) -> None:
    """Pass where the choice `name` can be made among the tools of the field `among`.

    Raises:
        InvalidValue: it cannot.
    """
    # `none` and `auto` hold for no tools too: frameworks send them without any.
    if choice is None or (choice.names is None and choice.mode != "required"):
        return
    if not tools:
        reason = f"Invalid value for '{name}': '{name}' is only allowed when '{among}' are specified."
        raise InvalidValue(name, reason, code=None)
    kinds = {tool.name: isinstance(tool, CustomTool) for tool in tools}
    for chosen in choice.names or ():
        custom = chosen in choice.custom
        if kinds.get(chosen) is custom:
            continue
        what = "" if chosen not in kinds else " as a custom tool" if custom else " as a function"
        reason = f"Invalid value for '{name}': '{excerpt(chosen)}' is not in '{among}'{what}."
        raise InvalidValue(name, reason, code=None)


def template_options(effort: str | None, options: Mapping[str, bool | str]) -> Mapping[str, bool | str]:
    """The switches of the chat template; what is said of one by name wins over the effort."""
    if effort is None:
        return options
    thinks = effort != "none"
    by_effort: dict[str, bool | str] = {"enable_thinking": thinks, "thinking": thinks}
    return {**by_effort, "reasoning_effort": effort, **options}


def sampling_options(values: FieldValues) -> SamplingOptions:
    """How tokens are drawn."""
    return SamplingOptions(
        temperature=values[fields.TEMPERATURE],
        top_p=values[fields.TOP_P],
        top_k=max(values[fields.TOP_K], 0),
        min_p=values[fields.MIN_P],
        frequency_penalty=values[fields.FREQUENCY_PENALTY],
        presence_penalty=values[fields.PRESENCE_PENALTY],
        repetition_penalty=values[fields.REPETITION_PENALTY],
        logit_bias=values[fields.LOGIT_BIAS],
        seed=values[fields.SEED],
    )


def tier_of(values: FieldValues) -> ServiceTier:
    """How urgent the answer is."""
    return _TIERS.get(values[fields.SERVICE_TIER], "default")


def _top_logprobs(values: FieldValues) -> int | None:
    top = values[fields.TOP_LOGPROBS]
    if values[fields.LOGPROBS]:
        return top or 0
    if top:
        reason = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
        raise InvalidValue("top_logprobs", reason, code=None)
    return None


def _check_choices(values: FieldValues, options: ApiOptions) -> None:
    choices = values[fields.N]
    if choices > options.max_choices:
        raise NumberOutOfRange("n", choices, integer=True, maximum=options.max_choices)


def check_token_ids(request: AnswerOptions, vocab_size: int) -> None:
    """Pass where every token id that steers the sampling is the model's.

    Raises:
        InvalidValue: one is not.
    """
    check_vocabulary("logit_bias", request.sampling.logit_bias, vocab_size)
    check_vocabulary("stop_token_ids", request.stop_token_ids, vocab_size)


def check_vocabulary(name: str, token_ids: Iterable[int], vocab_size: int) -> None:
    """Pass where every id in the field `name` is the model's.

    Raises:
        InvalidValue: one is not.
    """
    for token_id in token_ids:
        if token_id >= vocab_size:
            reason = (
                f"Invalid token id in '{name}': {token_id}. "
                f"This model's vocabulary has the ids from 0 to {vocab_size - 1}."
            )
            raise InvalidValue(name, reason)
