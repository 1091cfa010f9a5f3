"""Calls, results and the tools themselves in words, as Hermes models know them.

For models whose templates know nothing of tools, and for templates, which want them as objects.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from antiphon.core.messages import FunctionTool, ToolCall
from antiphon.text.tools.syntax import HERMES

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
    return HERMES.head(call.name) + arguments + HERMES.after_arguments


def written_result(result: str) -> str:
    """What a tool answered, as it is told to the model."""
    return f"<tool_response>\n{result}\n</tool_response>"


def arguments_value(text: str) -> object:
    """The arguments as an object for templates that want one; their text where they are not JSON."""
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        return text
