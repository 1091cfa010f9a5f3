"""The `messages` array: roles, contents and what a client replays from earlier answers.

Several text parts are joined with a newline, as vLLM and llama.cpp do; the API leaves it open.
Unknown keys in messages and parts are ignored, because clients send back what they were given
(`annotations`, `parsed`, `reasoning_content`, …). Tool calls are refused by name until they are
supported; the empty forms that SDKs write (`tool_calls: null`) pass.
"""

from antiphon.api.wire.reader import (
    Cursor,
    array_of,
    invalid_choice,
    optional,
    read_object,
    read_string,
    wrong_type,
)
from antiphon.api.wire.shapes import TOOLS_REASON
from antiphon.core.errors import EmptyArray, InvalidValue, UnsupportedParameter
from antiphon.core.messages import Message, Role

MAX_MESSAGES = 4096
"""Messages of one request at most."""

_ROLES: tuple[Role, ...] = ("system", "assistant", "user", "function", "tool", "developer")


def read_messages(cursor: Cursor) -> tuple[Message, ...]:
    """The conversation: at least one message, at most `MAX_MESSAGES`."""
    return array_of(_read_message, MAX_MESSAGES, minimum=1)(cursor)


def _read_message(cursor: Cursor) -> Message:
    read_object(cursor)
    role = _read_role(cursor.field("role"))
    _refuse_tool_history(cursor, role)
    content = _assistant_content(cursor) if role == "assistant" else _content(cursor.field("content"), role)
    return Message(role, content, optional(cursor.field("name"), read_string, None))


def _read_role(cursor: Cursor) -> Role:
    text = read_string(cursor)
    for role in _ROLES:
        if text == role:
            return role
    raise invalid_choice(cursor.path, text, _ROLES)


def _refuse_tool_history(message: Cursor, role: Role) -> None:
    if role in ("tool", "function"):
        raise UnsupportedParameter(message.field("role").path, TOOLS_REASON)
    for key in ("tool_calls", "function_call"):
        field = message.field(key)
        if not field.absent and field.value != []:
            raise UnsupportedParameter(field.path, TOOLS_REASON)


def _assistant_content(message: Cursor) -> str:
    """An assistant's text; a refusal that is replayed counts as what it said."""
    content = message.field("content")
    refusal = optional(message.field("refusal"), read_string, "")
    if content.absent and refusal:
        return refusal
    return _content(content, "assistant")


def _content(cursor: Cursor, role: Role) -> str:
    value = cursor.value
    if isinstance(value, str):
        return value
    if value is None:
        reason = "Invalid value for 'content': expected a string, got null."
        raise InvalidValue(cursor.path, reason, code=None)
    if not isinstance(value, list):
        raise wrong_type(cursor, "one of a string or array of objects")
    if not value:
        raise EmptyArray(cursor.path)
    return "\n".join(_read_part(part, role) for part in cursor.items())


def _read_part(part: Cursor, role: Role) -> str:
    read_object(part)
    kind = part.field("type")
    name = read_string(kind)
    if name == "text":
        return read_string(part.field("text"))
    if name == "refusal" and role == "assistant":
        return read_string(part.field("refusal"))
    choices = ("text", "refusal") if role == "assistant" else ("text",)
    raise invalid_choice(kind.path, name, choices)
