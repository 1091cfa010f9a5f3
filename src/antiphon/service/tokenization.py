"""The use case "what are this text's tokens": the ids a prompt would have, and the text of ids.

Invariant: `count` of a conversation is the `prompt_tokens` that its completion would be charged.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.service.choice_text import TokenScorer
from antiphon.service.generations import ModelParts
from antiphon.service.prompts import Conversation, Prompts


@dataclass(frozen=True, slots=True)
class Tokens:
    """The ids of a prompt."""

    ids: Sequence[int]
    context_length: int
    """Tokens of prompt and answer together that the model takes."""


class Tokenization:
    """Tokenizes for one model, loaded or not; generates nothing."""

    def __init__(self, parts: ModelParts) -> None:
        """Tokenize as prompts of this model are."""
        self._parts = parts
        self._prompts = Prompts(parts)
        self._scorer = TokenScorer(parts.tokenizer)

    async def of_text(self, text: str, *, start: bool) -> Tokens:
        """The ids of a plain text, with `start` those of a text completion's prompt."""
        return self._tokens(await self._prompts.of_text(text, start=start))

    async def of_conversation(self, conversation: Conversation) -> Tokens:
        """The ids of a conversation, ready for the assistant's turn.

        Raises:
            InvalidValue: the model's template refuses this conversation.
        """
        return self._tokens(await self._prompts.of_conversation(conversation))

    async def spelled(self, ids: Sequence[int]) -> list[str]:
        """Each token's own text; part of a character shows as U+FFFD."""
        return await asyncio.to_thread(lambda: [self._scorer.spelled(token) for token in ids])

    async def text(self, ids: Sequence[int]) -> str:
        """The text that ids spell together, control tokens as templates write them."""
        return await asyncio.to_thread(self._scorer.text, ids)

    def _tokens(self, ids: Sequence[int]) -> Tokens:
        return Tokens(ids, self._parts.engine.info.context_length)
