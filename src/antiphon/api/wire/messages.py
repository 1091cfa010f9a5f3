"""The `messages` array: roles, contents and what a client replays from earlier answers.

Several text parts are joined with a newline, as vLLM and llama.cpp do; the API leaves it open.
Unknown keys in messages and parts are ignored, because clients send back what they were given
(`annotations`, `parsed`, `parsed_arguments`, …), and the empty forms that SDKs write
(`tool_calls: null`) are none. What an assistant thought is kept for the template. A deprecated
`function_call` is read as a tool call.

Invariant: each call of an assistant's `tool_calls` is answered by a tool message right behind it.
"""

from collections.abc import Sequence

from antiphon.api.wire.reader import (
    Cursor,
    Reader,
    array_of,
    invalid_choice,
    one_of,
    optional,
    read_object,
    read_string,
    wrong_type,
)
from antiphon.api.wire.tools import CHAT_FORM, MAX_CALLS
from antiphon.api.wire.words import excerpt
from antiphon.core.errors import EmptyArray, InvalidValue
from antiphon.core.messages import Message, Role, ToolCall

MAX_MESSAGES = 4096
"""Messages of one request at most."""

_ROLES: tuple[Role, ...] = ("system", "assistant", "user", "function", "tool", "developer")


def read_messages(cursor: Cursor) -> tuple[Message, ...]:
    """The conversation: at least one message, at most `MAX_MESSAGES`."""
    messages = array_of(_read_message, MAX_MESSAGES, minimum=1)(cursor)
    _check_calls_are_answered(messages)
    return messages


def _read_message(cursor: Cursor) -> Message:
    read_object(cursor)
    role = _read_role(cursor.field("role"))
    name = optional(cursor.field("name"), read_string, None)
    match role:
        case "assistant":
            calls = _read_calls(cursor)
            content = _assistant_content(cursor, bool(calls))
            return Message(role, content, name, calls, reasoning=_reasoning(cursor))
        case "tool":
            call_id = read_string(cursor.field("tool_call_id"))
            return Message(role, _result_content(cursor, role), name, tool_call_id=call_id)
        case "function":
            return Message(role, _result_content(cursor, role), read_string(cursor.field("name")))
        case _:
            return Message(role, _content(cursor.field("content"), role), name)


def _read_role(cursor: Cursor) -> Role:
    text = read_string(cursor)
    for role in _ROLES:
        if text == role:
            return role
    raise invalid_choice(cursor.path, text, _ROLES)


def _read_calls(message: Cursor) -> tuple[ToolCall, ...]:
    calls = optional(message.field("tool_calls"), array_of(_read_call, MAX_CALLS), ())
    function_call = message.field("function_call")
    if calls or function_call.absent:
        return calls
    return (_named_call(function_call, function_call.path),)


def _read_call(cursor: Cursor) -> ToolCall:
    read_object(cursor)
    call_id = read_string(cursor.field("id"))
    kind = CHAT_FORM.read_kind(cursor.field("type"))
    tool = CHAT_FORM.within(cursor, kind)
    if kind == "custom":
        return ToolCall(call_id, read_string(tool.field("name")), read_string(tool.field("input")), True)
    return _named_call(tool, call_id)


def _named_call(function: Cursor, call_id: str) -> ToolCall:
    return ToolCall(call_id, read_string(function.field("name")), read_string(function.field("arguments")))


def _check_calls_are_answered(messages: Sequence[Message]) -> None:
    """Raise unless tool messages answer exactly the calls of the assistant right before them."""
    caller, unanswered = 0, list[str]()
    for place, message in enumerate(messages):
        if message.tool_call_id is not None:
            if message.tool_call_id not in unanswered:
                reason = (
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
                    "message with 'tool_calls'."
                )
                raise InvalidValue(f"messages.[{place}].role", reason, code=None)
            unanswered.remove(message.tool_call_id)
            continue
        _check_none_unanswered(caller, unanswered)
        # The deprecated form has no ids: its call got its path as one, which nothing has to answer.
        deprecated = f"messages[{place}].function_call"
        caller, unanswered = place, [call.id for call in message.tool_calls if call.id != deprecated]
    _check_none_unanswered(caller, unanswered)


def _check_none_unanswered(caller: int, unanswered: Sequence[str]) -> None:
    if unanswered:
        reason = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(map(excerpt, unanswered))
        )
        raise InvalidValue(f"messages.[{caller}].role", reason, code=None)


def _assistant_content(message: Cursor, calls: bool) -> str:
    """An assistant's text, maybe none where it called; a replayed refusal counts as what it said."""
    content = message.field("content")
    refusal = optional(message.field("refusal"), read_string, "")
    if content.absent and (refusal or calls):
        return refusal
    return _content(content, "assistant")


def _reasoning(message: Cursor) -> str:
    """What it thought, under whichever of its names; a form that is no text is left alone."""
    values = (message.field(name).value for name in ("reasoning_content", "reasoning"))
    return next((value for value in values if isinstance(value, str) and value), "")


def _result_content(message: Cursor, role: Role) -> str:
    """What a tool answered; frameworks leave out what is empty."""
    content = message.field("content")
    return "" if content.absent or content.value == [] else _content(content, role)


def _content(cursor: Cursor, role: Role) -> str:
    value = cursor.value
    if isinstance(value, str):
        return value
    if value is None:
        reason = "Invalid value for 'content': expected a string, got null."
        # Spelled as OpenAI spells it where it judges what a message means: `messages.[0].content`.
        raise InvalidValue(cursor.path.replace("[", ".[", 1), reason, code=None)
    if not isinstance(value, list):
        raise wrong_type(cursor, "one of a string or array of objects")
    if not value:
        raise EmptyArray(cursor.path)
    return read_parts(cursor, ("text",), refusals=role == "assistant")


def read_parts(cursor: Cursor, texts: Sequence[str], *, refusals: bool) -> str:
    """The text of an array of content parts, those of a type in `texts` and, with `refusals`, refusals."""
    read_kind = one_of(*texts, *(("refusal",) if refusals else ()))
    return "\n".join(_read_part(part, read_kind) for part in cursor.items())


def _read_part(part: Cursor, read_kind: Reader[str]) -> str:
    read_object(part)
    kind = read_kind(part.field("type"))
    return read_string(part.field("refusal" if kind == "refusal" else "text"))
