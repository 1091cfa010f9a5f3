"""Every field of a chat completion request, in one table, with what this server does about it.

A field is *supported*, *without effect* (read and checked, then left alone, for the reason given)
or *refused* as soon as it asks for something. The reference documentation is written from this
table, and a test compares it with the fields that OpenAI's SDK knows: none can be forgotten.

Invariant: `read_fields` reads every field of the table, so a wrong type is an error whatever the
field's verdict is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar, cast

from antiphon.api.wire.guided import (
    read_guided_choice,
    read_guided_grammar,
    read_guided_json,
    read_guided_regex,
    read_structured_outputs,
)
from antiphon.api.wire.messages import read_messages
from antiphon.api.wire.reader import (
    Cursor,
    Reader,
    array_of,
    integer,
    number,
    one_of,
    optional,
    read_bool,
    read_object,
    read_string,
    string,
)
from antiphon.api.wire.response_format import read_response_format
from antiphon.api.wire.shapes import (
    StreamOptions,
    read_logit_bias,
    read_metadata,
    read_modalities,
    read_prediction,
    read_stop,
    read_stream_options,
    read_template_kwargs,
    refused_object,
)
from antiphon.api.wire.tools import read_function_choice, read_functions, read_tool_choice, read_tools
from antiphon.core.messages import (
    FunctionTool,
    Message,
    ResponseFormat,
    Tool,
    ToolChoice,
)

T = TypeVar("T")

Verdict = Literal["supported", "without effect", "refused"]

_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Field(Generic[T]):
    """One row: the name, how its value is read, its default, and the verdict with its reason."""

    name: str
    read: Reader[T]
    default: T
    verdict: Verdict = "supported"
    reason: str = ""
    """A sentence for the documentation, where there is something to say."""
    required: bool = False


MODEL: Field[str] = Field("model", read_string, "", required=True)
MESSAGES: Field[tuple[Message, ...]] = Field("messages", read_messages, (), required=True)
MAX_COMPLETION_TOKENS: Field[int | None] = Field(
    "max_completion_tokens", integer(1, _INT32), None, reason="Bounded by what the context leaves."
)
MAX_TOKENS: Field[int | None] = Field(
    "max_tokens", integer(1, _INT32), None, reason="`max_completion_tokens` wins where both are given."
)
N: Field[int] = Field("n", integer(1, 128), 1)
TEMPERATURE: Field[float] = Field("temperature", number(0, 2), 1.0, reason="0 is greedy.")
TOP_P: Field[float] = Field("top_p", number(0, 1), 1.0)
FREQUENCY_PENALTY: Field[float] = Field("frequency_penalty", number(-2, 2), 0.0)
PRESENCE_PENALTY: Field[float] = Field("presence_penalty", number(-2, 2), 0.0)
SEED: Field[int | None] = Field("seed", integer(-(2**63), 2**63 - 1), None)
STOP: Field[tuple[str, ...]] = Field(
    "stop", read_stop, (), reason="Up to 16 strings of at most 256 characters; empty ones are dropped."
)
LOGIT_BIAS: Field[Mapping[int, float]] = Field(
    "logit_bias",
    read_logit_bias,
    {},
    reason="Up to 1024 ids of the model's vocabulary; decimals are accepted.",
)
LOGPROBS: Field[bool] = Field(
    "logprobs", read_bool, False, reason="Of the model's own distribution, before temperature and penalties."
)
TOP_LOGPROBS: Field[int | None] = Field("top_logprobs", integer(0, 20), None, reason="Needs `logprobs`.")
STREAM: Field[bool] = Field("stream", read_bool, False)
STREAM_OPTIONS: Field[StreamOptions] = Field(
    "stream_options",
    read_stream_options,
    StreamOptions(),
    reason="Ignored without `stream`. `include_obfuscation` is off unless asked for.",
)
RESPONSE_FORMAT: Field[ResponseFormat | None] = Field("response_format", read_response_format, None)
STORE: Field[bool] = Field(
    "store", read_bool, False, reason="Under `--store off` a header says that nothing was stored."
)
METADATA: Field[Mapping[str, str]] = Field(
    "metadata", read_metadata, {}, reason="Labels a stored completion; checked for others too."
)
TOOLS: Field[tuple[Tool, ...]] = Field(
    "tools",
    read_tools,
    (),
    reason="Up to 128 of type `function` or `custom`. Arguments satisfy their schema if it can be held, "
    "`strict` or not; the input of a custom tool its grammar (`regex` or `lark`).",
)
TOOL_CHOICE: Field[ToolChoice | None] = Field(
    "tool_choice", read_tool_choice, None, reason="Also `allowed_tools`. What must be called, is called."
)
PARALLEL_TOOL_CALLS: Field[bool] = Field(
    "parallel_tool_calls", read_bool, True, reason="An answer has at most 16 calls, with `false` one."
)
FUNCTIONS: Field[tuple[FunctionTool, ...]] = Field(
    "functions", read_functions, (), reason="Deprecated form of `tools`; answered in its own form."
)
FUNCTION_CALL: Field[ToolChoice | None] = Field(
    "function_call", read_function_choice, None, reason="Deprecated form of `tool_choice`."
)

TOP_K: Field[int] = Field("top_k", integer(-1, _INT32), 0, reason="An extension; 0 and -1 switch it off.")
MIN_P: Field[float] = Field("min_p", number(0, 1), 0.0, reason="An extension.")
REPETITION_PENALTY: Field[float] = Field(
    "repetition_penalty", number(0.01, 10), 1.0, reason="An extension, from 0.01 to 10."
)
MIN_TOKENS: Field[int] = Field("min_tokens", integer(0, _INT32), 0, reason="An extension.")
IGNORE_EOS: Field[bool] = Field("ignore_eos", read_bool, False, reason="An extension.")
STOP_TOKEN_IDS: Field[tuple[int, ...]] = Field(
    "stop_token_ids", array_of(integer(0, _INT32), 128), (), reason="An extension; up to 128 ids."
)
BUDGET_HINT: Field[bool] = Field(
    "budget_hint",
    read_bool,
    False,
    reason="An extension: where the bound of tokens nears, an answer under a schema, pattern or grammar "
    "closes its strings, arrays and objects in time, if that is valid.",
)

_GUIDED_REASON = "An extension, as `structured_outputs` has it."
STRUCTURED_OUTPUTS: Field[ResponseFormat | None] = Field(
    "structured_outputs",
    read_structured_outputs,
    None,
    reason="An extension, held strictly: one of `json`, `regex`, `choice`, `grammar` (Lark), `json_object`.",
)
GUIDED_JSON: Field[ResponseFormat | None] = Field(
    "guided_json", read_guided_json, None, reason=_GUIDED_REASON
)
GUIDED_REGEX: Field[ResponseFormat | None] = Field(
    "guided_regex", read_guided_regex, None, reason=_GUIDED_REASON
)
GUIDED_CHOICE: Field[ResponseFormat | None] = Field(
    "guided_choice", read_guided_choice, None, reason=_GUIDED_REASON
)
GUIDED_GRAMMAR: Field[ResponseFormat | None] = Field(
    "guided_grammar", read_guided_grammar, None, reason=_GUIDED_REASON
)
CHAT_TEMPLATE_KWARGS: Field[Mapping[str, bool | str]] = Field(
    "chat_template_kwargs",
    read_template_kwargs,
    {},
    reason="An extension: `enable_thinking`, `thinking` and `reasoning_effort`, for templates that use them.",
)
REASONING_EFFORT: Field[str | None] = Field(
    "reasoning_effort",
    one_of("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    None,
    reason="`none` switches thinking off; other levels are told to the model's chat template. "
    "A model that does not think is not concerned.",
)
SERVICE_TIER: Field[str] = Field(
    "service_tier",
    one_of("auto", "default", "flex", "scale", "priority", "fast", "ultrafast"),
    "default",
    reason="`priority` waits ahead of others, `flex` behind them, by up to 256 requests; "
    "the others are `default`.",
)
PROMPT_CACHE_KEY: Field[str] = Field(
    "prompt_cache_key",
    string(1024),
    "",
    reason="Equal prefixes are found without it; with it only among prompts of the same key.",
)

SAMPLING_EXTENSIONS: tuple[Field[Any], ...] = (
    TOP_K,
    MIN_P,
    REPETITION_PENALTY,
    MIN_TOKENS,
    IGNORE_EOS,
    STOP_TOKEN_IDS,
    BUDGET_HINT,
)

FORMATS = (
    RESPONSE_FORMAT,
    STRUCTURED_OUTPUTS,
    GUIDED_JSON,
    GUIDED_REGEX,
    GUIDED_CHOICE,
    GUIDED_GRAMMAR,
)
"""What an answer must look like; a request has at most one."""

_SUPPORTED: tuple[Field[Any], ...] = (
    MODEL,
    MESSAGES,
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
    N,
    TEMPERATURE,
    TOP_P,
    FREQUENCY_PENALTY,
    PRESENCE_PENALTY,
    SEED,
    STOP,
    LOGIT_BIAS,
    LOGPROBS,
    TOP_LOGPROBS,
    STREAM,
    STREAM_OPTIONS,
    *FORMATS,
    TOOLS,
    TOOL_CHOICE,
    PARALLEL_TOOL_CALLS,
    FUNCTIONS,
    FUNCTION_CALL,
    STORE,
    METADATA,
    SERVICE_TIER,
    PROMPT_CACHE_KEY,
    CHAT_TEMPLATE_KWARGS,
    REASONING_EFFORT,
    *SAMPLING_EXTENSIONS,
)


def _idle(name: str, read: Reader[Any], reason: str) -> Field[Any]:
    return Field(name, read, None, "without effect", reason)


def _refused(name: str, read: Reader[None], reason: str) -> Field[Any]:
    return Field(name, read, None, "refused", reason)


_CACHE_REASON = "Equal prefixes of prompts are found without a hint."

USER = _idle("user", read_string, "There is no abuse monitoring.")
SAFETY_IDENTIFIER = _idle("safety_identifier", string(128), "There is no abuse monitoring.")
PROMPT_CACHE_OPTIONS = _idle("prompt_cache_options", read_object, _CACHE_REASON)
PROMPT_CACHE_RETENTION = _idle("prompt_cache_retention", one_of("in_memory", "24h"), _CACHE_REASON)

_WITHOUT_EFFECT: tuple[Field[Any], ...] = (
    USER,
    SAFETY_IDENTIFIER,
    PROMPT_CACHE_OPTIONS,
    PROMPT_CACHE_RETENTION,
    _idle("verbosity", one_of("low", "medium", "high"), "The models served do not know the notion."),
    _idle("prediction", read_prediction, "A draft of the answer can only make it faster."),
    _idle("audio", read_object, "It describes audio, which is refused in `modalities`."),
)

_REFUSED: tuple[Field[Any], ...] = (
    _refused("modalities", read_modalities, "`text` passes; audio cannot be made."),
    _refused(
        "web_search_options",
        refused_object("This server does not search the web."),
        "An answer without a search would pass for a grounded one.",
    ),
    _refused(
        "moderation",
        refused_object("This server does not moderate."),
        "The caller expects a verdict.",
    ),
)

FIELDS = _SUPPORTED + _WITHOUT_EFFECT + _REFUSED
"""The table, in the order in which a request is checked."""


class FieldValues:
    """The values of one request, by field."""

    def __init__(self, values: Mapping[str, object]) -> None:
        """Made by `read_fields`."""
        self._values = values

    def __getitem__(self, field: Field[T]) -> T:
        """The value that was read, or the field's default."""
        return cast(T, self._values[field.name])


def read_fields(
    body: Cursor, table: Sequence[Field[Any]] = FIELDS, defaults: Mapping[str, object] = MappingProxyType({})
) -> FieldValues:
    """Every field of the table, in its order; the first violation raises.

    `defaults`, by the name of the field, go before the table's.
    """
    return FieldValues({field.name: _read(body, field, defaults) for field in table})


def _read(body: Cursor, field: Field[Any], defaults: Mapping[str, object]) -> object:
    cursor = body.field(field.name)
    if field.required:
        return field.read(cursor.present())
    return optional(cursor, field.read, defaults.get(field.name, field.default))


def unknown_fields(body: Cursor, table: Sequence[Field[Any]] = FIELDS) -> tuple[str, ...]:
    """The top-level keys that are not in the table, as the client wrote them."""
    names = {field.name for field in table}
    return tuple(key for key in read_object(body) if key not in names)
