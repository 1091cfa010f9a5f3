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
)
from antiphon.core.messages import Message, ToolCall

USER = {"role": "user", "content": "Hi"}


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
    assert read(replayed) == (Message("assistant", "Hi", reasoning="hm"),)
    assert read({**replayed, "tool_calls": []}) == (Message("assistant", "Hi", reasoning="hm"),)


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
        ({"role": "user", "content": None}, InvalidValue, "messages.[0].content"),
        ({"role": "assistant", "content": None}, InvalidValue, "messages.[0].content"),
        ({"role": "user", "content": 1}, InvalidType, "messages[0].content"),
        ({"role": "user", "content": {}}, InvalidType, "messages[0].content"),
        ({"role": "user", "content": []}, EmptyArray, "messages[0].content"),
        ({"role": "user", "content": ["Hi"]}, InvalidType, "messages[0].content[0]"),
        ({"role": "user", "content": [{}]}, MissingParameter, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, MissingParameter, "messages[0].content[0].text"),
        ({"role": "user", "content": "", "name": 1}, InvalidType, "messages[0].name"),
        ({"role": "tool", "content": ""}, MissingParameter, "messages[0].tool_call_id"),
        ({"role": "tool", "content": 1, "tool_call_id": "c"}, InvalidType, "messages[0].content"),
        ({"role": "function", "content": ""}, MissingParameter, "messages[0].name"),
        ({"role": "assistant", "tool_calls": {}}, InvalidType, "messages[0].tool_calls"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c"}]},
            MissingParameter,
            "messages[0].tool_calls[0].type",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f"}}]},
            MissingParameter,
            "messages[0].tool_calls[0].custom.input",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]},
            MissingParameter,
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            {"role": "assistant", "function_call": {"name": "f"}},
            MissingParameter,
            "messages[0].function_call.arguments",
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


def calling(*ids: str) -> dict[str, object]:
    """An assistant's message that calls, as the SDK's stream accumulator dumps it."""
    function = {"name": "f", "arguments": "{", "parsed_arguments": None}
    calls = [{"index": i, "id": id, "type": "function", "function": function} for i, id in enumerate(ids)]
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}


def answering(call_id: str, content: object = "1") -> dict[str, object]:
    """A tool's message."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_calls_and_their_results_are_read() -> None:
    """In any order of the results; arguments stay as they are, valid or not."""
    assert read(USER, calling("a", "b"), answering("b"), answering("a", [{"type": "text", "text": "2"}])) == (
        Message("user", "Hi"),
        Message("assistant", "", tool_calls=(ToolCall("a", "f", "{"), ToolCall("b", "f", "{"))),
        Message("tool", "1", tool_call_id="b"),
        Message("tool", "2", tool_call_id="a"),
    )


@pytest.mark.parametrize("content", [None, [], ""])
def test_result_may_be_empty(content: object) -> None:
    """Frameworks leave out what a tool did not say."""
    assert read(USER, calling("a"), answering("a", content))[2].content == ""


def test_deprecated_call_is_a_tool_call_that_nothing_has_to_answer() -> None:
    """With or without the function's answer behind it."""
    caller = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    call = ToolCall("messages[1].function_call", "f", "{}")

    assert read(USER, caller, USER)[1] == Message("assistant", "", tool_calls=(call,))
    assert read(USER, caller, {"role": "function", "name": "f", "content": "1"})[2] == Message(
        "function", "1", name="f"
    )


@pytest.mark.parametrize(
    ("conversation", "place", "missing"),
    [
        ([USER, calling("a", "b"), answering("b"), USER], 1, "a"),
        ([USER, calling("a", "b")], 1, "a, b"),
        ([calling("a"), USER, answering("a")], 0, "a"),
        ([calling("a"), calling("b"), answering("b")], 0, "a"),
    ],
)
def test_call_without_an_answer_is_refused(conversation: list[object], place: int, missing: str) -> None:
    """Named by its id, in OpenAI's words."""
    with pytest.raises(InvalidValue) as caught:
        read(*conversation)
    assert (caught.value.param, caught.value.code) == (f"messages.[{place}].role", None)
    assert caught.value.reason == (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
        f"'tool_call_id'. The following tool_call_ids did not have response messages: {missing}"
    )


@pytest.mark.parametrize(
    "conversation",
    [
        [USER, USER, answering("a")],
        [USER, calling("a"), answering("b")],
        [calling("a"), answering("a"), answering("a")],
    ],
)
def test_answer_without_a_call_is_refused(conversation: list[object]) -> None:
    """Also a second one; in OpenAI's words, its misspelling included."""
    with pytest.raises(InvalidValue) as caught:
        read(*conversation)
    place = len(conversation) - 1
    assert (caught.value.param, caught.value.code) == (f"messages.[{place}].role", None)
    assert caught.value.reason == (
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
        "'tool_calls'."
    )


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"reasoning_content": "Hm"}, "Hm"),
        ({"reasoning": "Hm"}, "Hm"),
        ({"reasoning_content": None, "reasoning": "Hm"}, "Hm"),
        ({"reasoning": {"effort": "low"}}, ""),
        ({}, ""),
    ],
)
def test_what_an_assistant_thought_is_kept(fields: dict[str, object], reasoning: str) -> None:
    """Under either of its names."""
    (message,) = read_messages(Cursor([{"role": "assistant", "content": "Hi", **fields}]))
    assert message == Message("assistant", "Hi", reasoning=reasoning)
