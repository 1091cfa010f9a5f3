"""Custom tools as functions: models are trained to call functions, so that is what they are told of.

A custom tool is a function with one argument, the text `input`. Its JSON is taken off again before
anybody sees it. A regular expression becomes the argument's pattern. A Lark grammar cannot be
carried over into JSON: such an input is written as it is behind the opening of the string, and ends
where the answer ends; what comes back is therefore in the language of the grammar to its last character.

Invariant: reading the arguments that hold a text gives that text, for any split of them.
"""

import json
from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from typing import Final

from antiphon.core.messages import CustomTool, FunctionTool, Message, Tool, ToolCall
from antiphon.text.tools.parameters import text_parameters

INPUT_OPENING: Final = '{"input":"'
"""What stands before an input, in JSON and before a raw one."""

_ESCAPES: Final[Mapping[str, str]] = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_UNPAIRED: Final = "\ufffd"


def as_function(tool: Tool) -> FunctionTool:
    """The function that stands for a tool."""
    if isinstance(tool, FunctionTool):
        return tool
    wanted = {"type": "string", **_wanted(tool)}
    parameters = {"type": "object", "properties": {"input": wanted}, "required": ["input"]}
    return FunctionTool(tool.name, tool.description, parameters)


def _wanted(tool: CustomTool) -> Mapping[str, str]:
    """What is asked of the input, in the words of JSON Schema."""
    if tool.grammar is None:
        return {}
    if tool.grammar.syntax == "regex":
        return {"pattern": f"^(?:{tool.grammar.definition})$"}
    return {"description": f"Text in the language of this Lark grammar:\n{tool.grammar.definition}"}


def as_function_calls(message: Message) -> Message:
    """The same message with calls of functions only."""
    if not any(call.custom for call in message.tool_calls):
        return message
    return replace(message, tool_calls=tuple(map(_as_function_call, message.tool_calls)))


def _as_function_call(call: ToolCall) -> ToolCall:
    if not call.custom:
        return call
    return ToolCall(call.id, call.name, json.dumps({"input": call.arguments}, ensure_ascii=False))


def raw_grammars(tools: Iterable[Tool]) -> Mapping[str, str]:
    """The Lark grammars of the tools whose input is written raw, by name."""
    return {
        tool.name: tool.grammar.definition
        for tool in tools
        if isinstance(tool, CustomTool) and tool.grammar is not None and tool.grammar.syntax == "lark"
    }


def written_texts(tools: Iterable[Tool]) -> Mapping[str, Set[str]]:
    """By name: the parameters that are written as they are where arguments are written one by one."""
    return {tool.name: text_parameters(as_function(tool).parameters) for tool in tools}


class InputReader:
    """Takes the JSON off an input: the text of the arguments in, the input out."""

    def __init__(self) -> None:
        """Before the arguments."""
        self._skipped = 0
        self._escape = ""
        self._high = ""
        """The first half of a pair of escapes that spell one character."""
        self._complete = False

    def push(self, text: str) -> str:
        """What this adds to the input. The arguments must be valid."""
        skipped = min(len(INPUT_OPENING) - self._skipped, len(text))
        self._skipped += skipped
        return "".join(self._read(character) for character in text[skipped:] if not self._complete)

    def _read(self, character: str) -> str:
        if self._escape:
            return self._read_escape(self._escape + character)
        if character == "\\":
            self._escape = character
            return ""
        self._complete = character == '"'
        return self._flush() + ("" if self._complete else character)

    def _read_escape(self, escape: str) -> str:
        is_code = escape[1] == "u"
        if is_code and len(escape) < 6:
            self._escape = escape
            return ""
        self._escape = ""
        return self._read_code(escape) if is_code else self._flush() + _ESCAPES.get(escape[1], escape[1])

    def _read_code(self, escape: str) -> str:
        code = int(escape[2:], 16)
        if 0xDC00 <= code < 0xE000 and self._high:
            pair, self._high = json.loads(f'"{self._high}{escape}"'), ""
            return str(pair)
        flushed = self._flush()
        if 0xD800 <= code < 0xDC00:
            self._high = escape
            return flushed
        return flushed + (_UNPAIRED if 0xDC00 <= code < 0xE000 else chr(code))

    def _flush(self) -> str:
        """What a first half amounts to whose second half did not come."""
        alone, self._high = self._high, ""
        return _UNPAIRED if alone else ""
