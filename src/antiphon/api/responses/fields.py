"""Every field of a response request, with what this server does about it.

What a response shares with a chat completion is the very same field. A test compares the table with the
fields that OpenAI's SDK knows.
"""

from typing import Any

from antiphon.api.responses.items import InputItem, read_input
from antiphon.api.responses.shapes import (
    TextConfig,
    read_cache_options,
    read_include,
    read_obfuscation,
    read_reasoning,
    read_response_tool_choice,
    read_response_tools,
    read_short,
    read_text_config,
    read_truncation,
    refused,
    refused_if_true,
)
from antiphon.api.wire import fields
from antiphon.api.wire.fields import Field
from antiphon.api.wire.reader import integer, read_bool, read_object, read_string
from antiphon.api.wire.shapes import refused_object
from antiphon.core.messages import Tool, ToolChoice

_INT32 = 2**31 - 1

INPUT: Field[tuple[InputItem, ...]] = Field(
    "input",
    read_input,
    (),
    required=True,
    reason="A text, or items: `message` (text parts only), `function_call`, `function_call_output`, "
    "`custom_tool_call`, `custom_tool_call_output`, `reasoning`, and `item_reference` to an item of a stored "
    "response. Up to 4096 with those before.",
)
INSTRUCTIONS: Field[str | None] = Field(
    "instructions", read_string, None, reason="A system message before everything else; not carried over."
)
PREVIOUS: Field[str | None] = Field(
    "previous_response_id", read_short, None, reason="Goes on behind a stored response."
)
MAX_OUTPUT_TOKENS: Field[int | None] = Field(
    "max_output_tokens", integer(1, _INT32), None, reason="Bounded by what the context leaves."
)
TOP_LOGPROBS: Field[int | None] = Field(
    "top_logprobs", integer(0, 20), None, reason="Above 0 it includes logprobs without `include` too."
)
INCLUDE: Field[frozenset[str]] = Field(
    "include",
    read_include,
    frozenset(),
    reason="`message.output_text.logprobs`; `reasoning.encrypted_content`, which holds the thoughts of the "
    "item's `content` once more, encoded and not encrypted, for clients that send nothing else back. The "
    "other published values concern what is not here.",
)
TEXT: Field[TextConfig] = Field(
    "text", read_text_config, TextConfig(), reason="`format` is held; `verbosity` has no effect."
)
TOOLS: Field[tuple[Tool, ...]] = Field(
    "tools",
    read_response_tools,
    (),
    reason="Up to 128 of type `function` or `custom`; tools that a server would run are refused. Arguments "
    "always satisfy the schema if it can be held. One that cannot is refused where `strict` is `true`; "
    "where it is left out or `false`, the arguments are any JSON object. The input of a custom tool is in "
    "the language of its grammar (`regex` or `lark`).",
)
TOOL_CHOICE: Field[ToolChoice | None] = Field(
    "tool_choice",
    read_response_tool_choice,
    None,
    reason="Also `allowed_tools`. What must be called, is called.",
)
STORE: Field[bool | None] = Field(
    "store",
    read_bool,
    None,
    reason="`true` unless told, as with OpenAI. Under `--store off` nothing is stored.",
)
STREAM_OPTIONS: Field[bool] = Field(
    "stream_options", read_obfuscation, False, reason="`include_obfuscation` is off unless asked for."
)
TRUNCATION: Field[str] = Field(
    "truncation",
    read_truncation,
    "disabled",
    reason="`disabled`: a conversation that is longer than the context is refused. `auto`: as few of its "
    "oldest items are left out as it takes to leave room for `max_output_tokens`, or for a quarter of the "
    "context. Instructions, system and developer messages stay; what is stored is whole.",
)
REASONING: Field[str | None] = Field(
    "reasoning",
    read_reasoning,
    None,
    reason="`effort` is as chat's `reasoning_effort`. What a model thinks is told as it is, in `reasoning` "
    "items with `content`; a `summary` is not made. Which earlier thoughts the model sees again is up to its "
    "chat template, whatever `context` says. A `mode` other than `standard` is refused.",
)
BACKGROUND: Field[bool] = Field(
    "background",
    refused_if_true("A response is answered by the request that asks for it."),
    False,
    "refused",
    "`false` passes.",
)


def _idle(name: str, read: Any, reason: str) -> Field[Any]:
    return Field(name, read, None, "without effect", reason)


def _refused(name: str, reason: str) -> Field[Any]:
    return Field(name, refused(reason), None, "refused", reason)


FIELDS: tuple[Field[Any], ...] = (
    fields.MODEL,
    INPUT,
    INSTRUCTIONS,
    PREVIOUS,
    MAX_OUTPUT_TOKENS,
    fields.TEMPERATURE,
    fields.TOP_P,
    TOP_LOGPROBS,
    INCLUDE,
    TEXT,
    TOOLS,
    TOOL_CHOICE,
    fields.PARALLEL_TOOL_CALLS,
    fields.STREAM,
    STREAM_OPTIONS,
    STORE,
    fields.METADATA,
    TRUNCATION,
    fields.SERVICE_TIER,
    fields.PROMPT_CACHE_KEY,
    fields.FREQUENCY_PENALTY,
    fields.PRESENCE_PENALTY,
    fields.SEED,
    fields.STOP,
    fields.LOGIT_BIAS,
    fields.CHAT_TEMPLATE_KWARGS,
    *fields.SAMPLING_EXTENSIONS,
    REASONING,
    fields.USER,
    fields.SAFETY_IDENTIFIER,
    _idle(
        "prompt_cache_options",
        read_cache_options,
        "Equal prefixes are found without; `prewarm` is refused.",
    ),
    fields.PROMPT_CACHE_RETENTION,
    _idle("max_tool_calls", integer(1, _INT32), "It limits tools that a server runs; there are none."),
    _idle("image", read_object, "There are no images."),
    _idle("access_programs", read_object, "There are no such programs."),
    BACKGROUND,
    _refused("background_options", "A response is answered by the request that asks for it."),
    _refused("conversation", "Conversations are not kept: send 'previous_response_id', or all items."),
    _refused("prompt", "There are no prompt templates on this server."),
    _refused("context_management", "A conversation is never compacted."),
    Field(
        "moderation",
        refused_object("This server does not moderate."),
        None,
        "refused",
        "The caller expects a verdict.",
    ),
)
"""The table, in the order in which a request is checked."""
