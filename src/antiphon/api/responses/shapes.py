"""Readers for the fields of a response request that chat completions lack or spell otherwise.

Each checks form and size only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from antiphon.api.wire.fields import REASONING_EFFORT
from antiphon.api.wire.reader import (
    Cursor,
    Reader,
    array_of,
    invalid_choice,
    one_of,
    optional,
    read_bool,
    read_object,
    read_string,
    string,
)
from antiphon.api.wire.response_format import read_format_of_schema
from antiphon.api.wire.tools import ToolForm, read_tool_choice, read_tools
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.messages import JsonObjectFormat, ResponseFormat, Tool, ToolChoice

LOGPROBS: Final = "message.output_text.logprobs"
ENCODED_REASONING: Final = "reasoning.encrypted_content"
_INCLUDABLE: Final = (
    LOGPROBS,
    ENCODED_REASONING,
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "message.input_image.image_url",
)
_FORM: Final = ToolForm(
    nested=False, others="this server runs none itself, and its models call functions and custom tools."
)


@dataclass(frozen=True, slots=True)
class TextConfig:
    """What `text` asks of the answer, and its format as it was sent."""

    wanted: ResponseFormat | None = None
    verbosity: str | None = None
    raw: Mapping[str, Any] | None = None


def read_text_config(cursor: Cursor) -> TextConfig:
    """`text`: the format, which is flat here, and the verbosity, which has no effect."""
    read_object(cursor)
    verbosity = optional(cursor.field("verbosity"), one_of("low", "medium", "high"), None)
    raw = optional(cursor.field("format"), read_object, None)
    return TextConfig(optional(cursor.field("format"), _read_format, None), verbosity, raw)


def _read_format(cursor: Cursor) -> ResponseFormat | None:
    kind = one_of("text", "json_object", "json_schema")(cursor.field("type"))
    if kind == "text":
        return None
    return JsonObjectFormat() if kind == "json_object" else read_format_of_schema(cursor)


def read_response_tools(cursor: Cursor) -> tuple[Tool, ...]:
    """Functions and custom tools; whatever the server itself would have to run is refused."""
    return read_tools(cursor, _FORM)


def read_response_tool_choice(cursor: Cursor) -> ToolChoice:
    """`none`, `auto`, `required`, one tool, or some of the tools."""
    return read_tool_choice(cursor, _FORM)


def read_include(cursor: Cursor) -> frozenset[str]:
    """What else the answer should carry; most of it concerns tools that are not here."""
    for item in cursor.items():
        name = read_string(item)
        if name not in _INCLUDABLE:
            raise invalid_choice(item.path, name, _INCLUDABLE)
    return frozenset(array_of(read_string, len(_INCLUDABLE) * 2)(cursor))


def read_reasoning(cursor: Cursor) -> str | None:
    """`reasoning`: its effort. The rest is checked; it wishes for what is not made, or is up to the model."""
    read_object(cursor)
    for key in ("summary", "generate_summary"):
        optional(cursor.field(key), one_of("auto", "concise", "detailed"), None)
    optional(cursor.field("context"), one_of("auto", "current_turn", "all_turns"), None)
    mode = cursor.field("mode")
    if optional(mode, read_string, "standard") != "standard":
        raise UnsupportedParameter(mode.path, "There is no other than 'standard'.")
    return optional(cursor.field("effort"), REASONING_EFFORT.read, None)


def read_obfuscation(cursor: Cursor) -> bool:
    """`stream_options`: whether events are padded. Unknown options are ignored."""
    return optional(cursor.field("include_obfuscation"), read_bool, False)


def read_cache_options(cursor: Cursor) -> None:
    """`prompt_cache_options`: hints, but for `prewarm`, which asks for no answer at all."""
    read_object(cursor)
    prewarm = cursor.field("prewarm")
    if optional(prewarm, read_bool, False):
        raise UnsupportedParameter(prewarm.path, "A request is answered.")


def read_truncation(cursor: Cursor) -> str:
    """Whether a conversation that is too long may be shortened."""
    return one_of("auto", "disabled")(cursor)


def refused_if_true(reason: str) -> Reader[bool]:
    """Read a switch that may be off."""

    def read(cursor: Cursor) -> bool:
        if read_bool(cursor):
            raise UnsupportedParameter(cursor.path, reason)
        return False

    return read


def refused(reason: str) -> Reader[None]:
    """Refuse whatever is there, of any type."""

    def read(cursor: Cursor) -> None:
        raise UnsupportedParameter(cursor.path, reason)

    return read


read_short: Reader[str] = string(256)
