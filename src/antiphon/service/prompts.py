"""Token ids of whatever a client wants continued: conversations, plain texts, ids.

Short prompts are encoded on the event loop, long ones in a thread, because the way there costs more
than it saves.

Invariant: text of a client never becomes a control token; ids that it sends are what it says.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from antiphon.core.messages import Message, Prompt, Tool
from antiphon.service.generations import ModelParts
from antiphon.text.prompt import encode_prompt

MESSAGE_COST_CHARS = 32
"""What a message costs beyond its content to render, as characters that take as long (measured)."""
INLINE_CHARS = 4096
"""Measured: 0.5 ms for 1,000 characters, 0.1 ms for the way to a thread and back."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a chat template writes down."""

    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    template_options: Mapping[str, bool | str] = field(default_factory=dict)


class Prompts:
    """Encodes prompts for one model."""

    def __init__(self, parts: ModelParts, inline_chars: int = INLINE_CHARS) -> None:
        """Encode up to `inline_chars` characters on the event loop, more in a thread."""
        self._parts = parts
        self._inline_chars = inline_chars

    async def of_conversation(self, conversation: Conversation) -> list[int]:
        """The ids of a conversation, ready for the assistant's turn.

        Raises:
            InvalidValue: the model's template refuses this conversation.
        """
        parts, tools = self._parts, conversation.tools
        messages = _with_system_prompt(conversation.messages, parts.system_prompt)
        arguments = parts.template, parts.tokenizer, messages, tools, conversation.template_options
        if not tools and _prompt_chars(messages) <= self._inline_chars:
            return encode_prompt(*arguments)
        return await asyncio.to_thread(encode_prompt, *arguments)

    async def of_text(self, prompt: Prompt, *, start: bool = True) -> list[int]:
        """The ids of a plain prompt; `start` puts before text what the model begins every text with."""
        if not isinstance(prompt, str):
            return list(prompt)
        encode = self._parts.tokenizer.encode_plain
        inline = len(prompt) <= self._inline_chars
        ids = encode(prompt) if inline else await asyncio.to_thread(encode, prompt)
        return [*self._parts.tokenizer.start_tokens, *ids] if start else ids

    @property
    def document_border(self) -> list[int]:
        """What stands for no prompt at all, as OpenAI has it: the token between two texts."""
        return list(self._parts.engine.info.eos_token_ids[:1])


def _with_system_prompt(messages: Sequence[Message], prompt: str) -> Sequence[Message]:
    """The operator's instructions first, unless the conversation brings its own."""
    if not prompt or any(message.role in ("system", "developer") for message in messages):
        return messages
    return (Message("system", prompt), *messages)


def _prompt_chars(messages: Sequence[Message]) -> int:
    """How long a conversation takes to render, in characters."""
    calls = sum(len(call.arguments) for message in messages for call in message.tool_calls)
    return calls + sum(len(message.content) + MESSAGE_COST_CHARS for message in messages)
