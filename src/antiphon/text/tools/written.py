"""Tools told in plain messages, for chat templates that know nothing of them.

The tools are described in the first system message, calls become what the assistant wrote, and
results are told by the user. No text is lost, and a conversation without tools stays as it is.
"""

from collections.abc import Sequence
from dataclasses import replace

from antiphon.core.messages import FunctionTool, Message
from antiphon.text.tools.hermes import instructions, written_call, written_result


def written_out(messages: Sequence[Message], tools: Sequence[FunctionTool]) -> list[Message]:
    """The same conversation, without tools, calls and results in any other place than its texts."""
    turns: list[Message] = []
    after_result = False
    for message in messages:
        is_result = message.role in ("tool", "function")
        said = _said(message)
        if turns and said.role == turns[-1].role == "user" and (is_result or after_result):
            turns[-1] = replace(turns[-1], content=f"{turns[-1].content}\n{said.content}")
        else:
            turns.append(said)
        after_result = is_result
    return _with_instructions(turns, instructions(tools)) if tools else turns


def _said(message: Message) -> Message:
    if message.role in ("tool", "function"):
        return Message("user", written_result(message.content))
    if not message.tool_calls:
        return message
    pieces = [message.content] if message.content else []
    return replace(
        message, content="\n".join((*pieces, *map(written_call, message.tool_calls))), tool_calls=()
    )


def _with_instructions(turns: list[Message], text: str) -> list[Message]:
    if turns and turns[0].role in ("system", "developer"):
        return [replace(turns[0], content=f"{turns[0].content}\n\n{text}"), *turns[1:]]
    return [Message("system", text), *turns]
