"""From events to the wire in the shape of text completions: chunks, or one completion.

Both are machines without I/O, like those of chat completions. There is no role and no call: a choice
is a text with a finish reason.

Invariant: the offsets of a choice's tokens are those of the characters that they begin in its text.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from antiphon.api.encode import (
    AnswerHead,
    AnswerShape,
    Json,
    padded,
    told_logprob,
    usage_object,
)
from antiphon.core.events import (
    AlternativeToken,
    AnswerEvent,
    ChoiceEnded,
    FinishReason,
    ScoredToken,
    TextDelta,
    Usage,
)


def completion_id(bare: str) -> str:
    """How a text completion's id is spelled on the wire."""
    return f"cmpl-{bare}"


@dataclass(slots=True)
class TokenScores:
    """The logprobs of one choice in the older shape, from token to token."""

    characters: int = 0
    """Characters that the tokens so far began."""

    def of(self, tokens: Iterable[ScoredToken]) -> Json:
        """Four parallel lists for the next tokens."""
        scored = tuple(tokens)
        return {
            "tokens": [_spelled(token) for token in scored],
            "token_logprobs": [None if t.logprob is None else told_logprob(t.logprob) for t in scored],
            "top_logprobs": [_candidates(token) for token in scored],
            "text_offset": [self._offset(token) for token in scored],
        }

    def _offset(self, token: ScoredToken) -> int:
        begun = sum(not _continues(byte) for byte in token.raw)
        within = bool(token.raw) and _continues(token.raw[0])
        offset = self.characters - within
        self.characters += begun
        return max(offset, 0)


class TextChunkEncoder:
    """Events in, chunks out. `random_text(n)` gives n characters for the padding of obfuscated chunks."""

    def __init__(self, head: AnswerHead, shape: AnswerShape, random_text: Callable[[int], str]) -> None:
        self._head = head
        self._shape = shape
        self._random_text = random_text
        self._scores = [TokenScores() for _ in range(head.choices)]

    def opening(self) -> list[Json]:
        """Nothing: a text has no role."""
        return []

    def push(self, event: AnswerEvent) -> list[Json]:
        """The chunks that an event adds: none or one."""
        match event:
            case TextDelta(text="", tokens=()):
                return []
            case TextDelta(index, text, tokens):
                logprobs = self._scores[index].of(tokens) if self._shape.logprobs else None
                return [self._choice_chunk(index, text, logprobs, None)]
            case ChoiceEnded(index, reason):
                return [self._choice_chunk(index, "", None, reason)]
            case _:
                usage = getattr(event, "usage", None)
                return [self._chunk([], usage)] if usage and self._shape.include_usage else []

    def _choice_chunk(
        self, index: int, text: str, logprobs: Json | None, reason: FinishReason | None
    ) -> Json:
        return self._chunk([_choice(index, text, logprobs, reason)], None)

    def _chunk(self, choices: Sequence[Json], usage: Usage | None) -> Json:
        chunk = _head(self._head) | {"choices": choices}
        if self._shape.include_usage:
            chunk["usage"] = None if usage is None else usage_object(usage)
        return padded(chunk, self._random_text) if self._shape.obfuscate else chunk


class TextFold:
    """Events in, one completion object out."""

    def __init__(self, head: AnswerHead, shape: AnswerShape) -> None:
        self._head = head
        self._shape = shape
        self._texts: list[list[str]] = [[] for _ in range(head.choices)]
        self._tokens: list[list[ScoredToken]] = [[] for _ in range(head.choices)]
        self._reasons: list[FinishReason | None] = [None] * head.choices
        self._usage: Usage | None = None

    def push(self, event: AnswerEvent) -> None:
        """Take the next event."""
        match event:
            case TextDelta(index, text, tokens):
                self._texts[index].append(text)
                self._tokens[index].extend(tokens)
            case ChoiceEnded(index, reason):
                self._reasons[index] = reason
            case _:
                self._usage = getattr(event, "usage", None)

    def completion(self) -> Json:
        """The whole answer; `Completed` must have been pushed."""
        assert self._usage is not None
        choices = [self._choice(index) for index in range(self._head.choices)]
        return _head(self._head) | {"choices": choices, "usage": usage_object(self._usage)}

    def _choice(self, index: int) -> Json:
        logprobs = TokenScores().of(self._tokens[index]) if self._shape.logprobs else None
        return _choice(index, "".join(self._texts[index]), logprobs, self._reasons[index])


def _head(head: AnswerHead) -> Json:
    return {
        "id": completion_id(head.id),
        "object": "text_completion",
        "created": head.created,
        "model": head.model,
        "service_tier": head.tier,
        "system_fingerprint": f"fp_{head.fingerprint}",
    }


def _choice(index: int, text: str, logprobs: Json | None, reason: FinishReason | None) -> Json:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}


def _candidates(token: ScoredToken) -> dict[str, float] | None:
    """The likeliest tokens, and the one that is there where it is not among them."""
    if token.logprob is None:
        return None
    candidates = {_spelled(candidate): told_logprob(candidate.logprob) for candidate in token.top}
    return candidates | {_spelled(token): told_logprob(token.logprob)}


def _spelled(token: ScoredToken | AlternativeToken) -> str:
    """A token's text; one that holds part of a character is spelled by its bytes, as OpenAI does."""
    if not token.raw:
        return token.text
    try:
        return token.raw.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.raw)


def _continues(byte: int) -> bool:
    """Whether a byte of UTF-8 is not the first of its character."""
    return byte & 0xC0 == 0x80
