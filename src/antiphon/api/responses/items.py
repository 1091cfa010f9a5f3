"""Input items of a response, and the conversation they make.

An item is kept as the client sent it and read for what it means: a message, a call, the output of a
call, or a reference to an item of an earlier response. Reasoning is kept and means nothing here.
Several text parts are joined with a newline, as in chat completions. Keys that nobody knows are ignored,
because clients send back what they were given.

Invariant: in a conversation every call has an output behind it, and every output a call before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from antiphon.api.wire.reader import (
    ABSENT,
    Cursor,
    array_of,
    invalid_choice,
    read_object,
    read_string,
    wrong_type,
)
from antiphon.api.wire.words import excerpt
from antiphon.core.errors import EmptyArray, InvalidValue
from antiphon.core.messages import Message, Role, ToolCall

MAX_ITEMS: Final = 4096
"""Items of one conversation at most, earlier responses included."""

_ROLES: Final[tuple[Role, ...]] = ("user", "assistant", "system", "developer")
_KINDS: Final = ("message", "function_call", "function_call_output", "reasoning", "item_reference")


@dataclass(frozen=True, slots=True)
class ItemReference:
    """An item of an earlier response, by its id."""

    id: str


@dataclass(frozen=True, slots=True)
class InputItem:
    """One item, as it was sent and as it is meant; None: it means nothing to a model."""

    raw: Mapping[str, Any]
    meaning: Message | ToolCall | ItemReference | None


def read_input(cursor: Cursor) -> tuple[InputItem, ...]:
    """A user's text, or items; at most `MAX_ITEMS`."""
    if isinstance(cursor.value, str):
        part = {"type": "input_text", "text": cursor.value}
        raw = {"type": "message", "role": "user", "content": [part]}
        return (InputItem(raw, Message("user", cursor.value)),)
    if not isinstance(cursor.value, list):
        raise wrong_type(cursor, "one of a string or array of input items")
    return array_of(_read_item, MAX_ITEMS)(cursor)


def conversation_of(instructions: str | None, items: Iterable[InputItem]) -> tuple[Message, ...]:
    """The messages that items make, behind the instructions. References must have been replaced.

    Raises:
        InvalidValue: a call without an output, or an output without a call.
        EmptyArray: there is nothing to answer.
    """
    messages: list[Message] = [] if instructions is None else [Message("system", instructions)]
    for item in items:
        match item.meaning:
            case Message():
                messages.append(item.meaning)
            case ToolCall() as call if messages and messages[-1].role == "assistant":
                messages[-1] = replace(messages[-1], tool_calls=(*messages[-1].tool_calls, call))
            case ToolCall() as call:
                messages.append(Message("assistant", "", tool_calls=(call,)))
    _check_outputs(messages)
    if not messages:
        raise EmptyArray("input")
    return tuple(messages)


def _check_outputs(messages: Sequence[Message]) -> None:
    open_calls: list[str] = []
    for message in messages:
        open_calls += [call.id for call in message.tool_calls]
        if message.tool_call_id is None:
            continue
        if message.tool_call_id not in open_calls:
            raise _unmatched("No tool call found for function call output with call_id", message.tool_call_id)
        open_calls.remove(message.tool_call_id)
    if open_calls:
        raise _unmatched("No tool output found for function call", open_calls[0])


def _unmatched(what: str, call_id: str) -> InvalidValue:
    return InvalidValue("input", f"{what} {excerpt(call_id)}.", code=None)


def _read_item(cursor: Cursor) -> InputItem:
    raw = read_object(cursor)
    kind = "message" if cursor.field("type").absent else read_string(cursor.field("type"))
    match kind:
        case "message":
            return InputItem({"type": "message", **raw}, _read_message(cursor))
        case "function_call":
            return InputItem(raw, _read_call(cursor))
        case "function_call_output":
            return InputItem(raw, _read_output(cursor))
        case "reasoning":
            return InputItem(raw, None)
        case "item_reference":
            return InputItem(raw, ItemReference(read_string(cursor.field("id"))))
        case _:
            raise invalid_choice(cursor.field("type").path, kind, _KINDS)


def _read_message(cursor: Cursor) -> Message:
    text = read_string(cursor.field("role"))
    for role in _ROLES:
        if text == role:
            return Message(role, _read_content(cursor.field("content"), role))
    raise invalid_choice(cursor.field("role").path, text, _ROLES)


def _read_call(cursor: Cursor) -> ToolCall:
    call_id, name = read_string(cursor.field("call_id")), read_string(cursor.field("name"))
    return ToolCall(call_id, name, read_string(cursor.field("arguments")))


def _read_output(cursor: Cursor) -> Message:
    call_id = read_string(cursor.field("call_id"))
    output = cursor.field("output")
    if output.value is ABSENT:
        raise wrong_type(output, "one of a string or array of content parts")
    text = "" if output.value in (None, []) else _read_content(output, "user")
    return Message("tool", text, tool_call_id=call_id)


def _read_content(cursor: Cursor, role: Role) -> str:
    if isinstance(cursor.value, str):
        return cursor.value
    if not isinstance(cursor.value, list):
        raise wrong_type(cursor, "one of a string or array of content parts")
    return "\n".join(_read_part(part, role) for part in cursor.items())


def _read_part(part: Cursor, role: Role) -> str:
    read_object(part)
    kind = part.field("type")
    name = read_string(kind)
    texts = ("output_text", "input_text", "text") if role == "assistant" else ("input_text", "text")
    if name in texts:
        return read_string(part.field("text"))
    if name == "refusal" and role == "assistant":
        return read_string(part.field("refusal"))
    told = ("output_text", "refusal") if role == "assistant" else ("input_text",)
    raise invalid_choice(kind.path, name, told)
