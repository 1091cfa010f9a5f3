"""Input items of a response, and the conversation they make.

An item is kept as the client sent it and read for what it means: a message, a call, the output of a
call, what the assistant thought, or a reference to an item of an earlier response.
Several text parts are joined with a newline, as in chat completions. Keys that nobody knows are ignored,
because clients send back what they were given. What was thought belongs to the assistant's next message or
call; where none follows, it means nothing.

Invariant: in a conversation every call has an output behind it, and every output a call before it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from antiphon.api.responses.thoughts import decoded
from antiphon.api.wire.messages import read_parts
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
_TEXTS: Final = ("input_text", "text")
_SAID_TEXTS: Final = ("output_text", *_TEXTS)


@dataclass(frozen=True, slots=True)
class ItemReference:
    """An item of an earlier response, by its id."""

    id: str


@dataclass(frozen=True, slots=True)
class Thought:
    """What the assistant thought; empty where the item does not tell it."""

    text: str


Meaning = Message | ToolCall | Thought | ItemReference


@dataclass(frozen=True, slots=True)
class InputItem:
    """One item, as it was sent and as it is meant."""

    raw: Mapping[str, Any]
    meaning: Meaning


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
    thought = ""
    for item in items:
        match item.meaning:
            case Thought(text):
                thought += text
            case ToolCall() as call:
                thought = _add_call(messages, call, thought)
            case Message(role="assistant") as message:
                messages.append(replace(message, reasoning=thought))
                thought = ""
            case Message() as message:
                messages.append(message)
                thought = ""
    _check_outputs(messages)
    if not messages:
        raise EmptyArray("input")
    return tuple(messages)


def _add_call(messages: list[Message], call: ToolCall, thought: str) -> str:
    """A call belongs to the assistant's message right before it. What is left of the thoughts: nothing."""
    if not messages or messages[-1].role != "assistant":
        messages.append(Message("assistant", ""))
    said = messages[-1]
    messages[-1] = replace(said, tool_calls=(*said.tool_calls, call), reasoning=said.reasoning + thought)
    return ""


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
    if kind not in _READERS:
        raise invalid_choice(cursor.field("type").path, kind, tuple(_READERS))
    return InputItem({**raw, "type": kind}, _READERS[kind](cursor))


def _read_message(cursor: Cursor) -> Message:
    text = read_string(cursor.field("role"))
    for role in _ROLES:
        if text == role:
            return Message(role, _read_content(cursor.field("content"), role))
    raise invalid_choice(cursor.field("role").path, text, _ROLES)


def _read_call(cursor: Cursor) -> ToolCall:
    call_id, name = read_string(cursor.field("call_id")), read_string(cursor.field("name"))
    return ToolCall(call_id, name, read_string(cursor.field("arguments")))


def _read_custom_call(cursor: Cursor) -> ToolCall:
    call_id, name = read_string(cursor.field("call_id")), read_string(cursor.field("name"))
    return ToolCall(call_id, name, read_string(cursor.field("input")), custom=True)


def _read_output(cursor: Cursor) -> Message:
    call_id = read_string(cursor.field("call_id"))
    output = cursor.field("output")
    if output.value is ABSENT:
        raise wrong_type(output, "one of a string or array of content parts")
    text = "" if output.value in (None, []) else _read_content(output, "user")
    return Message("tool", text, tool_call_id=call_id)


def _read_thought(cursor: Cursor) -> Thought:
    """The text itself, else what was encoded here, else the summary; any other form is left alone."""
    data = cursor.field("encrypted_content").value
    told = _texts_of(cursor.field("content").value) or (decoded(data) if isinstance(data, str) else "")
    return Thought(told or _texts_of(cursor.field("summary").value))


def _texts_of(parts: object) -> str:
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return "\n".join(text for text in texts if isinstance(text, str))


def _read_reference(cursor: Cursor) -> ItemReference:
    return ItemReference(read_string(cursor.field("id")))


def _read_content(cursor: Cursor, role: Role) -> str:
    if isinstance(cursor.value, str):
        return cursor.value
    if not isinstance(cursor.value, list):
        raise wrong_type(cursor, "one of a string or array of content parts")
    said = role == "assistant"
    return read_parts(cursor, _SAID_TEXTS if said else _TEXTS, refusals=said)


_READERS: Final[Mapping[str, Callable[[Cursor], Meaning]]] = MappingProxyType(
    {
        "message": _read_message,
        "function_call": _read_call,
        "function_call_output": _read_output,
        "custom_tool_call": _read_custom_call,
        "custom_tool_call_output": _read_output,
        "reasoning": _read_thought,
        "item_reference": _read_reference,
    }
)
