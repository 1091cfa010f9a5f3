"""Tools, of functions and custom ones, and the choice among them, in all the forms that they are written in.

Chat completions write what a tool is under the name of its kind (`function: {name}`), responses beside it.
The deprecated form becomes the same values. Unknown keys are ignored, as everywhere inside of fields. That a
choice names a tool which is there concerns two fields and is checked in `decode`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

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
from antiphon.core.errors import InvalidValue, UnsupportedParameter
from antiphon.core.messages import CustomTool, FunctionTool, Tool, ToolChoice, ToolGrammar

MAX_TOOLS: Final = 128
MAX_NAME_LENGTH: Final = 64
MAX_CALLS: Final = 128
"""Calls of one message of the history at most."""

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")
_KINDS: Final = ("function", "custom")
_ALLOWED: Final = "allowed_tools"


@dataclass(frozen=True, slots=True)
class ToolForm:
    """How an API writes tools down."""

    nested: bool
    """What it is stands under the name of its kind, else beside it."""
    others: str = ""
    """Why there are no tools of other kinds, which the API knows; empty: it knows none."""

    def read_kind(self, cursor: Cursor, *more: str) -> str:
        """A `type` that is `function`, `custom` or one `more`.

        Raises:
            InvalidValue: the API does not know the kind.
            UnsupportedParameter: it may know it.
        """
        kind, kinds = read_string(cursor), (*_KINDS, *more)
        if kind in kinds:
            return kind
        if self.others:
            raise UnsupportedParameter(cursor.path, f"There is no tool '{excerpt(kind)}': {self.others}")
        raise invalid_choice(cursor.path, kind, kinds)

    def within(self, cursor: Cursor, kind: str) -> Cursor:
        """Where what is of this kind is described."""
        return cursor.field(kind) if self.nested else cursor


CHAT_FORM: Final = ToolForm(nested=True)


def read_tools(cursor: Cursor, form: ToolForm = CHAT_FORM) -> tuple[Tool, ...]:
    """The tools; an empty list is none.

    Raises:
        InvalidValue: a custom tool has a name that another tool has, among others.
    """
    array_of(read_object, MAX_TOOLS)(cursor)
    tools = tuple(_read_tool(item, form) for item in cursor.items())
    taken = [tool.name for tool in tools]
    for tool, item in zip(tools, cursor.items(), strict=True):
        if isinstance(tool, CustomTool) and taken.count(tool.name) > 1:
            path = form.within(item, "custom").field("name").path
            raise InvalidValue(path, f"Invalid '{path}': another tool is named '{tool.name}', too.")
    return tools


def read_functions(cursor: Cursor) -> tuple[FunctionTool, ...]:
    """The functions of the deprecated `functions`."""
    array_of(read_object, MAX_TOOLS)(cursor)
    return tuple(read_function(item) for item in cursor.items())


def read_tool_choice(cursor: Cursor, form: ToolForm = CHAT_FORM) -> ToolChoice:
    """`none`, `auto`, `required`, one tool, or some of the tools."""
    if isinstance(cursor.value, str):
        mode = one_of("none", "auto", "required")(cursor)
        return ToolChoice("none" if mode == "none" else "auto" if mode == "auto" else "required")
    if not isinstance(cursor.value, dict):
        raise wrong_type(cursor, "one of a string or object")
    if form.read_kind(cursor.field("type"), _ALLOWED) == _ALLOWED:
        return _read_allowed(form.within(cursor, _ALLOWED), form)
    return _chosen("named", (_named(cursor, form),))


def read_function_choice(cursor: Cursor) -> ToolChoice:
    """The deprecated `function_call`: `none`, `auto`, or one function."""
    if isinstance(cursor.value, str):
        return ToolChoice("none" if one_of("none", "auto")(cursor) == "none" else "auto")
    if not isinstance(cursor.value, dict):
        raise wrong_type(cursor, "one of a string or object")
    return ToolChoice("named", (read_string(cursor.field("name")),))


def _read_tool(cursor: Cursor, form: ToolForm) -> Tool:
    kind = form.read_kind(cursor.field("type"))
    tool = form.within(cursor, kind)
    return _read_custom(tool, form) if kind == "custom" else read_function(tool)


def _read_custom(cursor: Cursor, form: ToolForm) -> CustomTool:
    return CustomTool(
        name=_read_name(cursor.field("name")),
        description=optional(cursor.field("description"), read_string, None),
        grammar=optional(cursor.field("format"), lambda wanted: _read_format(wanted, form), None),
    )


def _read_format(cursor: Cursor, form: ToolForm) -> ToolGrammar | None:
    if one_of("text", "grammar")(cursor.field("type")) == "text":
        return None
    grammar = form.within(cursor, "grammar")
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


def _read_allowed(cursor: Cursor, form: ToolForm) -> ToolChoice:
    mode = one_of("auto", "required")(cursor.field("mode"))
    read = array_of(lambda tool: _named(tool, form), MAX_TOOLS, minimum=1)
    return _chosen("auto" if mode == "auto" else "required", read(cursor.field("tools")))


def _named(cursor: Cursor, form: ToolForm) -> tuple[str, str]:
    """The kind and the name of a tool that is chosen."""
    read_object(cursor)
    kind = form.read_kind(cursor.field("type"))
    return kind, read_string(form.within(cursor, kind).field("name"))


def _chosen(mode: Literal["auto", "required", "named"], tools: Sequence[tuple[str, str]]) -> ToolChoice:
    names = tuple(name for _, name in tools)
    return ToolChoice(mode, names, frozenset(name for kind, name in tools if kind == "custom"))
