"""The syntax of calls: JSON between `<tool_call>` tags, one call after the other.

    <tool_call>
    {"name": "get_weather", "arguments": {"city":"Paris"}}
    </tool_call>

Hermes, Qwen and others were trained on it, and others follow it when they are told. The white space
is fixed: what a grammar writes exactly so, a parser reads without guessing.
Source: NousResearch/Hermes-Function-Calling; the chat template of Qwen2.5.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from antiphon.core.messages import FunctionTool, ToolCall

OPENING: Final = "<tool_call>"
"""No text of an answer holds it: where it is complete, the first call begins."""
BEFORE_NAME: Final = '\n{"name": "'
BEFORE_ARGUMENTS: Final = ', "arguments": '
AFTER_ARGUMENTS: Final = "}\n</tool_call>"
BETWEEN_CALLS: Final = "\n" + OPENING

_INSTRUCTIONS: Final = """\
You may call functions to help with the user's request. These are the functions, as JSON:
<tools>
{tools}
</tools>
To call one, answer with its name and arguments as a JSON object between these tags:
<tool_call>
{{"name": "the function's name", "arguments": {{"argument": "value"}}}}
</tool_call>"""


def instructions(tools: Sequence[FunctionTool]) -> str:
    """What a model is told whose template knows nothing of tools."""
    described = (json.dumps(tool_object(tool), ensure_ascii=False) for tool in tools)
    return _INSTRUCTIONS.format(tools="\n".join(described))


def tool_object(tool: FunctionTool) -> Mapping[str, object]:
    """A tool as chat templates are given it: the API's own form, with a schema that says `object`."""
    function: dict[str, object] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = {"type": "object", "properties": {}} | dict(tool.parameters)
    return {"type": "function", "function": function}


def written_call(call: ToolCall) -> str:
    """A call as an assistant would have written it."""
    is_text = isinstance(arguments_value(call.arguments), str)
    arguments = json.dumps(call.arguments, ensure_ascii=False) if is_text else call.arguments or "{}"
    return f'{OPENING}{BEFORE_NAME}{call.name}"{BEFORE_ARGUMENTS}{arguments}{AFTER_ARGUMENTS}'


def written_result(result: str) -> str:
    """What a tool answered, as it is told to the model."""
    return f"<tool_response>\n{result}\n</tool_response>"


def arguments_value(text: str) -> object:
    """The arguments as an object for templates that want one; their text where they are not JSON."""
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return text
