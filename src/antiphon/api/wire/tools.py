"""Tools, of functions and custom ones, and the choice among them, in both of the API's forms.

The deprecated form becomes the same values. Unknown keys are ignored, as everywhere inside of fields. That a
choice names a tool which is there concerns two fields and is checked in `decode`.
"""

import re
from collections.abc import Mapping
from typing import Final

from antiphon.api.wire.reader import (
    Cursor,
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
from antiphon.api.wire.words import excerpt, type_name
from antiphon.core.errors import InvalidValue
from antiphon.core.messages import CustomTool, FunctionTool, Tool, ToolChoice, ToolGrammar

MAX_TOOLS: Final = 128
MAX_NAME_LENGTH: Final = 64
MAX_CALLS: Final = 128
"""Calls of one message of the history at most."""

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")
_KINDS: Final = ("function", "custom")


def read_tools(cursor: Cursor) -> tuple[Tool, ...]:
    """The tools; an empty list is none.

    Raises:
        InvalidValue: a custom tool has a name that another tool has, among others.
    """
    array_of(read_object, MAX_TOOLS)(cursor)
    tools = tuple(_read_tool(item) for item in cursor.items())
    taken = [tool.name for tool in tools]
    for place, tool in enumerate(tools):
        if isinstance(tool, CustomTool) and taken.count(tool.name) > 1:
            path = f"{cursor.path}[{place}].custom.name"
            raise InvalidValue(path, f"Invalid '{path}': another tool is named '{tool.name}', too.")
    return tools


def read_functions(cursor: Cursor) -> tuple[FunctionTool, ...]:
    """The functions of the deprecated `functions`."""
    array_of(read_object, MAX_TOOLS)(cursor)
    return tuple(read_function(item) for item in cursor.items())


def read_tool_choice(cursor: Cursor) -> ToolChoice:
    """`none`, `auto`, `required`, one function, or some of the tools."""
    if isinstance(cursor.value, str):
        mode = one_of("none", "auto", "required")(cursor)
        return ToolChoice("none" if mode == "none" else "auto" if mode == "auto" else "required")
    if not isinstance(cursor.value, dict):
        raise wrong_type(cursor, "one of a string or object")
    kind = cursor.field("type")
    match read_string(kind):
        case "function" | "custom" as named:
            return ToolChoice("named", (_tool_name(cursor, named),))
        case "allowed_tools":
            return _read_allowed(cursor.field("allowed_tools"))
        case other:
            raise invalid_choice(kind.path, other, (*_KINDS, "allowed_tools"))


def read_function_choice(cursor: Cursor) -> ToolChoice:
    """The deprecated `function_call`: `none`, `auto`, or one function."""
    if isinstance(cursor.value, str):
        return ToolChoice("none" if one_of("none", "auto")(cursor) == "none" else "auto")
    if not isinstance(cursor.value, dict):
        raise wrong_type(cursor, "one of a string or object")
    return ToolChoice("named", (read_string(cursor.field("name")),))


def read_tool_kind(cursor: Cursor) -> str:
    """A `type` that is `function` or `custom`."""
    return one_of(*_KINDS)(cursor)


def _read_tool(cursor: Cursor) -> Tool:
    kind = read_tool_kind(cursor.field("type"))
    tool = cursor.field(kind)
    return _read_custom(tool) if kind == "custom" else read_function(tool)


def _read_custom(cursor: Cursor) -> CustomTool:
    return CustomTool(
        name=_read_name(cursor.field("name")),
        description=optional(cursor.field("description"), read_string, None),
        grammar=optional(cursor.field("format"), _read_format, None),
    )


def _read_format(cursor: Cursor) -> ToolGrammar | None:
    if one_of("text", "grammar")(cursor.field("type")) == "text":
        return None
    grammar = cursor.field("grammar")
    syntax = one_of("lark", "regex")(grammar.field("syntax"))
    return ToolGrammar("lark" if syntax == "lark" else "regex", read_string(grammar.field("definition")))


def read_function(cursor: Cursor) -> FunctionTool:
    """A function with its name, description, parameters and `strict`."""
    name = _read_name(cursor.field("name"))
    return FunctionTool(
        name=name,
        description=optional(cursor.field("description"), read_string, None),
        parameters=_read_parameters(cursor.field("parameters"), name),
        strict=optional(cursor.field("strict"), read_bool, False),
    )


def _read_name(cursor: Cursor) -> str:
    name = string(MAX_NAME_LENGTH)(cursor)
    if not _NAME.fullmatch(name):
        reason = (
            f"Invalid '{cursor.path}': string does not match pattern. "
            "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise InvalidValue(cursor.path, reason)
    return name


def _read_parameters(cursor: Cursor, function: str) -> Mapping[str, object]:
    schema = optional(cursor, read_object, dict[str, object]())
    kind = schema.get("type", "object")
    if kind == "object" or (isinstance(kind, list) and "object" in kind):
        return schema
    got = f"'type: \"{excerpt(kind)}\"'" if isinstance(kind, str) else f"a type that is {type_name(kind)}"
    reason = (
        f"Invalid schema for function '{function}': "
        f"schema must be a JSON Schema of 'type: \"object\"', got {got}."
    )
    raise InvalidValue(cursor.path, reason, code="invalid_function_parameters")


def _read_allowed(cursor: Cursor) -> ToolChoice:
    mode = one_of("auto", "required")(cursor.field("mode"))
    tools = cursor.field("tools")
    names = array_of(_allowed_name, MAX_TOOLS, minimum=1)(tools)
    return ToolChoice("auto" if mode == "auto" else "required", names)


def _allowed_name(cursor: Cursor) -> str:
    read_object(cursor)
    return _tool_name(cursor, read_tool_kind(cursor.field("type")))


def _tool_name(cursor: Cursor, kind: str) -> str:
    return read_string(cursor.field(kind).field("name"))
