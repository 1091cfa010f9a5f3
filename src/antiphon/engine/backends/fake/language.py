"""The fake model's language: one token per byte of UTF-8, three control tokens, ChatML turns.

Invariant: encoding any text and joining the bytes of its tokens gives the text back.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from antiphon.core.messages import FunctionTool, Message
from antiphon.text.reasoning import without_reasoning
from antiphon.text.tools.written import written_out

TURN_START, TURN_END, TEXT_END = 256, 257, 258
"""Ids of the control tokens; ids below them are bytes."""
VOCAB_SIZE = 259
EOS_TOKEN_IDS = (TURN_END, TEXT_END)


class FakeTokenizer:
    """Implements `core.ports.Tokenizer`: a text's tokens are its bytes."""

    @property
    def special_tokens(self) -> dict[str, int]:
        """The control tokens as the template writes them."""
        return {"<|im_start|>": TURN_START, "<|im_end|>": TURN_END, "<|endoftext|>": TEXT_END}

    @property
    def swallowing_tokens(self) -> frozenset[str]:
        """None of them."""
        return frozenset()

    @property
    def start_tokens(self) -> tuple[int, ...]:
        """None: a text begins with its first byte."""
        return ()

    def encode_plain(self, text: str) -> list[int]:
        """The bytes of the text."""
        return list(text.encode())

    def token_bytes(self, token_id: int) -> bytes:
        """The byte itself; nothing for control tokens."""
        return bytes((token_id,)) if token_id < TURN_START else b""


class FakeChatTemplate:
    """Implements `core.ports.ChatTemplate` in the manner of ChatML."""

    def __init__(self, reasoning_tags: tuple[str, str] | None = None, opens_block: bool = False) -> None:
        """Of a model that thinks between these tags, the first of which may be part of the prompt."""
        self.reasoning_tags = reasoning_tags
        self.call_syntax = "hermes"
        self._behind = f"{reasoning_tags[0]}\n" if reasoning_tags and opens_block else ""

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[FunctionTool] = (),
        options: Mapping[str, bool | str] = MappingProxyType({}),
    ) -> str:
        """Each turn between control tokens, then the opening of the assistant's turn."""
        said = written_out(messages, tools)
        turns = (f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in said)
        prompt = "".join(turns) + f"<|im_start|>assistant\n{self._behind}"
        thinks = options.get("enable_thinking", True)
        return prompt if thinks else without_reasoning(prompt, self.reasoning_tags)
