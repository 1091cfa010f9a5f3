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
    wrong_type,
)
from antiphon.api.wire.response_format import read_format_of_schema
from antiphon.api.wire.tools import MAX_TOOLS, read_function
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.messages import FunctionTool, JsonObjectFormat, ResponseFormat, Tool, ToolChoice

LOGPROBS: Final = "message.output_text.logprobs"
_INCLUDABLE: Final = (
    LOGPROBS,
    "reasoning.encrypted_content",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "message.input_image.image_url",
)
_NO_SUCH_TOOL: Final = (
    "Only functions are called here: custom tools are at /v1/chat/completions, and this server runs no "
    "tools of its own."
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


def read_function_tools(cursor: Cursor) -> tuple[Tool, ...]:
    """The functions of `tools`; whatever the server itself would have to run is refused."""
    return array_of(_read_tool, MAX_TOOLS)(cursor)


def _read_tool(cursor: Cursor) -> FunctionTool:
    read_object(cursor)
    _check_function(cursor)
    return read_function(cursor)


def _check_function(cursor: Cursor) -> None:
    kind = cursor.field("type")
    if read_string(kind) != "function":
        raise UnsupportedParameter(kind.path, _NO_SUCH_TOOL)


def read_function_tool_choice(cursor: Cursor) -> ToolChoice:
    """`none`, `auto`, `required`, one function, or some of the tools."""
    if isinstance(cursor.value, str):
        mode = one_of("none", "auto", "required")(cursor)
        return ToolChoice("none" if mode == "none" else "auto" if mode == "auto" else "required")
    if not isinstance(cursor.value, dict):
        raise wrong_type(cursor, "one of a string or object")
    if read_string(cursor.field("type")) == "allowed_tools":
        mode = one_of("auto", "required")(cursor.field("mode"))
        names = array_of(_read_named, MAX_TOOLS, minimum=1)(cursor.field("tools"))
        return ToolChoice("auto" if mode == "auto" else "required", names)
    return ToolChoice("named", (_read_named(cursor),))


def _read_named(cursor: Cursor) -> str:
    read_object(cursor)
    _check_function(cursor)
    return read_string(cursor.field("name"))


def read_include(cursor: Cursor) -> frozenset[str]:
    """What else the answer should carry; most of it concerns tools that are not here."""
    for item in cursor.items():
        name = read_string(item)
        if name not in _INCLUDABLE:
            raise invalid_choice(item.path, name, _INCLUDABLE)
    return frozenset(array_of(read_string, len(_INCLUDABLE) * 2)(cursor))


def read_reasoning(cursor: Cursor) -> Mapping[str, Any]:
    """How much to think, and what to tell of it."""
    read_object(cursor)
    optional(cursor.field("effort"), REASONING_EFFORT.read, None)
    for key in ("summary", "generate_summary"):
        optional(cursor.field(key), read_string, None)
    return read_object(cursor)


def read_obfuscation(cursor: Cursor) -> bool:
    """`stream_options`: whether events are padded. Unknown options are ignored."""
    return optional(cursor.field("include_obfuscation"), read_bool, False)


def read_truncation(cursor: Cursor) -> str:
    """`disabled`; a prompt is never cut."""
    if one_of("auto", "disabled")(cursor) == "auto":
        raise UnsupportedParameter(cursor.path, "A prompt is never cut: send 'disabled'.")
    return "disabled"


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
