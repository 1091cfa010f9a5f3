"""What one streamed request brought, with the times at which it did.

Times are seconds of a monotonic clock. Text is kept because later turns of a conversation quote it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class Chunk(msgspec.Struct):
    """The fields of a chunk that are measured; whatever else it has is skipped unread."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: object = None


_DECODER = msgspec.json.Decoder(Chunk)


@dataclass(slots=True)
class Record:
    """One request. A record with an `error` is counted, and left out of every other figure."""

    sent: float
    arrivals: dict[int, list[float]] = field(default_factory=dict)
    """When each piece of content came, per choice."""
    texts: dict[int, str] = field(default_factory=dict)
    finish_reasons: dict[int, str] = field(default_factory=dict)
    usage_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    finished: bool = False
    """Whether `[DONE]` came."""
    ended: float = 0.0
    error: str | None = None

    def add(self, payload: bytes, now: float) -> None:
        """Take in an event's payload.

        Raises:
            msgspec.MsgspecError: it is not a chunk.
        """
        if payload == b"[DONE]":
            self.finished = True
            return
        chunk = _DECODER.decode(payload)
        if chunk.error is not None:
            self.error = msgspec.json.encode(chunk.error).decode()[:200]
        for choice in chunk.choices:
            self._add_choice(choice, now)
        if chunk.usage is not None:
            self._add_usage(chunk.usage)

    def _add_choice(self, choice: _Choice, now: float) -> None:
        if choice.delta.content:
            self.arrivals.setdefault(choice.index, []).append(now)
            self.texts[choice.index] = self.texts.get(choice.index, "") + choice.delta.content
        if choice.finish_reason is not None:
            self.finish_reasons[choice.index] = choice.finish_reason

    def _add_usage(self, usage: _Usage) -> None:
        self.usage_tokens, self.prompt_tokens = usage.completion_tokens, usage.prompt_tokens
        if usage.prompt_tokens_details is not None:
            self.cached_tokens = usage.prompt_tokens_details.cached_tokens or 0

    @property
    def output_tokens(self) -> int:
        """The larger of what the server counted and of the pieces that came: some count one choice of n."""
        return max(self.usage_tokens, sum(map(len, self.arrivals.values())))

    @property
    def first_token_s(self) -> float | None:
        """Seconds from sending to the first piece of content of any choice."""
        firsts = [times[0] for times in self.arrivals.values()]
        return min(firsts) - self.sent if firsts else None

    @property
    def gaps(self) -> list[float]:
        """Seconds between neighbouring pieces of the same choice."""
        return [later - earlier for times in self.arrivals.values() for earlier, later in pairwise(times)]

    def holds(self, fields: Mapping[str, type]) -> bool:
        """Whether every choice that ended by itself is a JSON object of exactly these typed fields."""
        ended = [choice for choice, reason in self.finish_reasons.items() if reason == "stop"]
        return all(_is_object(self.texts.get(choice, ""), fields) for choice in ended)


def _is_object(text: str, fields: Mapping[str, type]) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return (
        isinstance(value, dict)
        and value.keys() == fields.keys()
        and all(isinstance(value[name], kind) for name, kind in fields.items())
    )
