"""Items of a conversation, and the messages that they make."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.api.responses.items import conversation_of, read_input
from antiphon.api.responses.thoughts import decoded, encoded
from antiphon.api.wire.reader import Cursor
from antiphon.core.errors import InvalidValue
from antiphon.core.messages import Message, ToolCall

USER = {"role": "user", "content": "Hi"}
SAID = {"role": "assistant", "content": "So:"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
CUSTOM = {"type": "custom_tool_call", "call_id": "c2", "name": "sql", "input": "SELECT 1"}
CUSTOM_OUTPUT = {
    "type": "custom_tool_call_output",
    "call_id": "c2",
    "output": [{"type": "input_text", "text": "1"}],
}
ASKED = Message("user", "Hi")


def messages(*items: dict[str, Any]) -> list[Message]:
    """The conversation that these items make."""
    return list(conversation_of(None, read_input(Cursor(list(items), "input"))))


def thought(*texts: str, **more: Any) -> dict[str, Any]:
    """An item of reasoning with this content."""
    content = [{"type": "reasoning_text", "text": text} for text in texts]
    return {"type": "reasoning", "id": "rs_1", "summary": [], "content": content, **more}


def test_calls_of_both_kinds_belong_to_one_message() -> None:
    """And their outputs answer them."""
    calls = (ToolCall("c1", "f", "{}"), ToolCall("c2", "sql", "SELECT 1", custom=True))

    assert messages(USER, SAID, CALL, CUSTOM, OUTPUT, CUSTOM_OUTPUT) == [
        ASKED,
        Message("assistant", "So:", tool_calls=calls),
        Message("tool", "ok", tool_call_id="c1"),
        Message("tool", "1", tool_call_id="c2"),
    ]


def test_thoughts_belong_to_what_follows() -> None:
    """A message, or a call without one."""
    calling = Message("assistant", "", tool_calls=(ToolCall("c1", "f", "{}"),), reasoning="Ask f.")

    assert messages(USER, thought("Ask f."), CALL, OUTPUT, thought("It is ok."), SAID) == [
        ASKED,
        calling,
        Message("tool", "ok", tool_call_id="c1"),
        Message("assistant", "So:", reasoning="It is ok."),
    ]


def test_thoughts_that_nothing_follows_mean_nothing() -> None:
    """Neither at the end, nor before what somebody else says."""
    assert messages(USER, thought("Hm."), USER, thought("Well.")) == [ASKED, ASKED]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (thought("one", "two"), "one\ntwo"),
        (thought("said", encrypted_content=encoded("kept")), "said"),
        (thought(encrypted_content=encoded("kept")), "kept"),
        (thought(summary=[{"type": "summary_text", "text": "in short"}]), "in short"),
        (thought(encrypted_content="gAAAAAB"), ""),
        ({"type": "reasoning"}, ""),
        ({"type": "reasoning", "content": "odd", "summary": [1, {"text": 2}], "encrypted_content": {}}, ""),
    ],
)
def test_what_was_thought_is_found(item: dict[str, Any], text: str) -> None:
    """In the content, else in what was encoded here, else in a summary; else it is not told."""
    assert messages(item, SAID) == [Message("assistant", "So:", reasoning=text)]


@given(st.text())
def test_thoughts_come_back_as_they_were_encoded(text: str) -> None:
    """Whatever they are."""
    assert decoded(encoded(text)) == text


@given(st.text())
def test_what_was_not_encoded_here_is_nothing(data: str) -> None:
    """And breaks nothing."""
    assert decoded(data) == ""
    assert isinstance(decoded(f"antiphon:{data}"), str)


@pytest.mark.parametrize("items", [(USER, CUSTOM), (USER, CUSTOM_OUTPUT), (USER, CUSTOM, OUTPUT)])
def test_custom_calls_must_be_answered_too(items: tuple[dict[str, Any], ...]) -> None:
    """And outputs must be answers."""
    with pytest.raises(InvalidValue):
        messages(*items)
