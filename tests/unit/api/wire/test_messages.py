"""The messages of a request."""

import pytest

from antiphon.api.wire.messages import MAX_MESSAGES, read_messages
from antiphon.api.wire.reader import Cursor
from antiphon.core.errors import (
    ArrayTooLong,
    EmptyArray,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    UnsupportedParameter,
)
from antiphon.core.messages import Message


def read(*messages: object) -> tuple[Message, ...]:
    """Read these messages."""
    return read_messages(Cursor(list(messages), "messages"))


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_content_may_be_text_or_parts(role: str) -> None:
    """Every role takes both forms; parts are joined by newlines."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    whole, joined = read({"role": role, "content": "x"}, {"role": role, "content": parts})
    assert (whole.role, whole.content) == (role, "x")
    assert joined.content == "a\nb"


def test_name_is_kept() -> None:
    """Any text is a name; the template decides what it means."""
    named, unnamed = read(
        {"role": "user", "content": "", "name": "Ann B."}, {"role": "user", "content": "", "name": None}
    )
    assert (named.name, unnamed.name) == ("Ann B.", None)


def test_replayed_answer_passes() -> None:
    """What SDKs dump of an answer, nulls and extras included, can be sent back."""
    replayed: dict[str, object] = {
        "role": "assistant",
        "content": "Hi",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
        "parsed": {"a": 1},
        "reasoning_content": "hm",
        "index": 0,
    }
    assert read(replayed) == (Message("assistant", "Hi"),)
    assert read({**replayed, "tool_calls": []}) == (Message("assistant", "Hi"),)


@pytest.mark.parametrize("message", [{"content": None}, {}])
def test_replayed_refusal_counts_as_what_was_said(message: dict[str, object]) -> None:
    """A refusal has no content; its text stands in."""
    assert read({"role": "assistant", "refusal": "No.", **message}) == (Message("assistant", "No."),)


def test_refusal_part_counts_as_text() -> None:
    """Among an assistant's parts only."""
    part = {"type": "refusal", "refusal": "No."}
    assert read({"role": "assistant", "content": [part]}) == (Message("assistant", "No."),)
    with pytest.raises(InvalidValue):
        read({"role": "user", "content": [part]})


def test_unknown_keys_are_ignored() -> None:
    """In messages and in parts."""
    part = {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}, "x": 1}
    assert read({"role": "user", "content": [part], "x": {}}) == (Message("user", "a"),)


@pytest.mark.parametrize(
    ("message", "error", "param"),
    [
        ("Hi", InvalidType, "messages[0]"),
        (None, InvalidType, "messages[0]"),
        ({}, MissingParameter, "messages[0].role"),
        ({"role": None}, InvalidType, "messages[0].role"),
        ({"role": 1, "content": ""}, InvalidType, "messages[0].role"),
        ({"role": "foo", "content": ""}, InvalidValue, "messages[0].role"),
        ({"role": "user"}, MissingParameter, "messages[0].content"),
        ({"role": "assistant"}, MissingParameter, "messages[0].content"),
        ({"role": "user", "content": None}, InvalidValue, "messages[0].content"),
        ({"role": "assistant", "content": None}, InvalidValue, "messages[0].content"),
        ({"role": "user", "content": 1}, InvalidType, "messages[0].content"),
        ({"role": "user", "content": {}}, InvalidType, "messages[0].content"),
        ({"role": "user", "content": []}, EmptyArray, "messages[0].content"),
        ({"role": "user", "content": ["Hi"]}, InvalidType, "messages[0].content[0]"),
        ({"role": "user", "content": [{}]}, MissingParameter, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, MissingParameter, "messages[0].content[0].text"),
        ({"role": "user", "content": "", "name": 1}, InvalidType, "messages[0].name"),
        ({"role": "tool", "content": "", "tool_call_id": "c"}, UnsupportedParameter, "messages[0].role"),
        ({"role": "function", "content": "", "name": "f"}, UnsupportedParameter, "messages[0].role"),
        (
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
            UnsupportedParameter,
            "messages[0].tool_calls",
        ),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "f"}},
            UnsupportedParameter,
            "messages[0].function_call",
        ),
    ],
)
def test_bad_message_is_refused_with_its_path(
    message: object, error: type[InvalidRequest], param: str
) -> None:
    """The first violation, where it is."""
    with pytest.raises(error) as caught:
        read(message)
    assert type(caught.value) is error
    assert caught.value.param == param


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_other_media_are_refused_with_their_path(kind: str) -> None:
    """Leaving a picture out silently would fake an answer about it."""
    parts = [{"type": "text", "text": "What is this?"}, {"type": kind, kind: {}}]
    with pytest.raises(InvalidValue) as caught:
        read({"role": "user", "content": parts})
    assert caught.value.param == "messages[0].content[1].type"


def test_wordings_are_those_clients_know() -> None:
    """The texts that other servers and OpenAI give."""
    with pytest.raises(InvalidValue) as unknown_role:
        read({"role": "foo", "content": ""})
    assert unknown_role.value.reason == (
        "Invalid value: 'foo'. Supported values are: "
        "'system', 'assistant', 'user', 'function', 'tool', and 'developer'."
    )
    with pytest.raises(InvalidValue) as null_content:
        read({"role": "user", "content": None})
    assert null_content.value.reason == "Invalid value for 'content': expected a string, got null."
    assert null_content.value.code is None


def test_number_of_messages_is_bounded() -> None:
    """None is too few, and there is a cap."""
    message = {"role": "user", "content": ""}
    assert len(read(*[message] * MAX_MESSAGES)) == MAX_MESSAGES
    with pytest.raises(ArrayTooLong):
        read(*[message] * (MAX_MESSAGES + 1))
    with pytest.raises(EmptyArray):
        read()
