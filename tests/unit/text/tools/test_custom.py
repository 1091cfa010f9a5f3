"""Custom tools as functions, and their inputs out of JSON."""

import json

from antiphon.core.messages import CustomTool, FunctionTool, Message, ToolCall, ToolGrammar
from antiphon.text.tools.custom import InputReader, as_function, as_function_calls, raw_grammars

LARK = CustomTool("l", "d", ToolGrammar("lark", "start: /a/"))
REGEX = CustomTool("r", None, ToolGrammar("regex", "a|b"))


def input_of(tool: CustomTool) -> object:
    """The schema of the one argument."""
    parameters = as_function(tool).parameters
    assert parameters["required"] == ["input"]
    return parameters["properties"]["input"]  # type: ignore[index]


def test_custom_tool_is_a_function_of_one_text() -> None:
    """Whose schema says what of its grammar can be said there."""
    function = FunctionTool("f")

    assert as_function(function) is function
    assert (as_function(LARK).name, as_function(LARK).description) == ("l", "d")
    assert input_of(CustomTool("t")) == {"type": "string"}
    assert input_of(REGEX) == {"type": "string", "pattern": "^(?:a|b)$"}
    assert input_of(LARK) == {
        "type": "string",
        "description": "Text in the language of this Lark grammar:\nstart: /a/",
    }


def test_only_lark_inputs_are_raw() -> None:
    """A regular expression can be said in JSON."""
    assert raw_grammars([LARK, REGEX, CustomTool("t"), FunctionTool("f")]) == {"l": "start: /a/"}


def test_custom_calls_of_the_history_become_calls_of_functions() -> None:
    """Others stay as they are."""
    call = ToolCall("1", "f", "{}")
    caller = Message("assistant", "", tool_calls=(ToolCall("2", "t", 'é"', custom=True), call))
    user = Message("user", "Hi")

    assert as_function_calls(user) is user
    assert as_function_calls(caller).tool_calls == (ToolCall("2", "t", '{"input": "é\\""}'), call)


def test_input_is_read_out_of_its_json() -> None:
    """Escapes in every form; halves of pairs alone are no characters."""
    assert InputReader().push(json.dumps({"input": 'a"\n\\/é😀'}, separators=(",", ":"))) == 'a"\n\\/é😀'
    assert (
        InputReader().push('{"input":"\\/\\u0041\\ud83dx\\ude00\\ud83d\\ud83d\\ude00\\ud83d"}') == "/A�x��😀�"
    )
