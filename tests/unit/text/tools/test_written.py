"""Tools told in plain messages."""

from antiphon.core.messages import FunctionTool, Message, ToolCall
from antiphon.text.tools.hermes import instructions
from antiphon.text.tools.written import written_out

WEATHER = FunctionTool("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}})
CALL = ToolCall("1", "weather", '{"city": "Paris"}')
USER = Message("user", "Hi")


def test_conversation_without_tools_stays_as_it_is() -> None:
    """Nothing is touched without need."""
    messages = [Message("developer", "a"), USER, USER, Message("assistant", "b")]

    assert written_out(messages, ()) == messages


def test_instructions_tell_of_every_tool_as_json() -> None:
    """One line each, in the API's form, and how to call."""
    text = instructions([WEATHER, FunctionTool("now")])

    assert (
        '{"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": '
        '{"type": "object", "properties": {"city": {"type": "string"}}}}}\n'
        '{"type": "function", "function": {"name": "now", '
        '"parameters": {"type": "object", "properties": {}}}}\n'
    ) in text
    assert '<tool_call>\n{"name": ' in text


def test_instructions_follow_the_system_message_or_become_one() -> None:
    """The caller's own words come first."""
    told = instructions([WEATHER])

    assert written_out([Message("developer", "Be brief."), USER], [WEATHER])[0] == Message(
        "developer", f"Be brief.\n\n{told}"
    )
    assert written_out([USER], [WEATHER]) == [Message("system", told), USER]
    assert written_out([], [WEATHER]) == [Message("system", told)]


def test_calls_and_results_become_text() -> None:
    """Calls are the assistant's words, results the user's, in one turn with the user's own."""
    messages = [
        USER,
        Message("assistant", "Let me see.", tool_calls=(CALL, ToolCall("2", "now", "not JSON"))),
        Message("tool", "rain", tool_call_id="1"),
        Message("function", "12:00", name="now"),
        USER,
        USER,
    ]

    assert written_out(messages, ()) == [
        USER,
        Message(
            "assistant",
            'Let me see.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>\n'
            '<tool_call>\n{"name": "now", "arguments": "not JSON"}\n</tool_call>',
        ),
        Message(
            "user",
            "<tool_response>\nrain\n</tool_response>\n<tool_response>\n12:00\n</tool_response>\nHi",
        ),
        USER,
    ]


def test_call_without_arguments_is_written_with_an_empty_object() -> None:
    """Some servers say nothing there."""
    caller = Message("assistant", "", tool_calls=(ToolCall("1", "now", ""),))

    assert (
        written_out([caller], ())[0].content == '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    )
