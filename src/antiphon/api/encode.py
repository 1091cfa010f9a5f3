"""From the conversation vocabulary to the wire: events become chunks, or fold into one completion.

Both are machines without I/O. `ChunkEncoder` gives the chunks of a stream in OpenAI's order: a
role chunk per choice, reasoning, text, calls, one finish chunk per choice, the usage chunk when asked
for. Where the answer may be a call, the role waits for its first event: it comes with the call's head
then. An unstreamed answer is `CompletionFold` over the very same events. Keys are in the order OpenAI
writes them; a key that has nothing to say is left out where OpenAI leaves it out.

Invariant: per choice one role, then text, then calls, then one finish reason; nothing after `Completed`;
choices appear first in the order of their indices.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from antiphon.core.events import (
    AlternativeToken,
    AnswerEvent,
    ChoiceEnded,
    Completed,
    FinishReason,
    ReasoningDelta,
    ScoredToken,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)

Json = dict[str, Any]

ChoiceEvent = ReasoningDelta | TextDelta | ToolCallStarted | ToolArgumentsDelta | ChoiceEnded

LOWEST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON cannot write."""

PADDING_BLOCK = 16
"""With obfuscation, every chunk's size in bytes has the same remainder by this."""


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What every chunk of an answer repeats."""

    id: str
    created: int
    """Unix seconds."""
    model: str
    fingerprint: str
    choices: int
    tier: str = "default"


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """What the caller asked the answer to carry."""

    logprobs: bool = False
    include_usage: bool = False
    obfuscate: bool = False
    may_call: bool = False
    """Whether it has text or begins with a call is known with its first event only."""
    functions: bool = False
    """Its call is spelled in the deprecated form."""
    reasoning_field: str = "reasoning_content"
    """The key of what the model thought."""


class ChunkEncoder:
    """Events in, chunks out. `random_text(n)` gives n characters for the padding of obfuscated chunks."""

    def __init__(self, head: AnswerHead, shape: AnswerShape, random_text: Callable[[int], str]) -> None:
        self._head = head
        self._shape = shape
        self._random_text = random_text
        self._begun = 0
        """How many choices have had their role."""
        self._silent: set[int] = set()
        """Choices whose content is null so far."""
        self._custom: set[tuple[int, int]] = set()
        """Choice and index of the calls of custom tools."""

    def opening(self) -> list[Json]:
        """The role chunks of all choices, in the order of their indices, if how they begin is known.

        The Python SDK's accumulator fails when a choice appears before a lower one has.
        """
        if self._shape.may_call:
            return []
        self._begun = self._head.choices
        return [self._role_chunk(index, {"content": ""}) for index in range(self._begun)]

    def push(self, event: AnswerEvent) -> list[Json]:
        """The chunks that an event adds."""
        if isinstance(event, Completed):
            return [self._chunk([], event.usage)] if self._shape.include_usage else []
        if event == TextDelta(event.choice, ""):
            return []
        chunks = [self._role_chunk(index, {"content": None}) for index in range(self._begun, event.choice)]
        self._silent.update(range(self._begun, event.choice))
        if event.choice < self._begun:
            return [*chunks, *self._more(event)]
        self._begun = event.choice + 1
        return [*chunks, *self._first(event)]

    def _first(self, event: ChoiceEvent) -> list[Json]:
        """The role and what an event adds to it."""
        if isinstance(event, ToolCallStarted):
            return [self._role_chunk(event.choice, {"content": None, **self._call_head(event)})]
        thinks = isinstance(event, ReasoningDelta)
        self._silent.update([event.choice] if thinks else ())
        return [self._role_chunk(event.choice, {"content": None if thinks else ""}), *self._more(event)]

    def _more(self, event: ChoiceEvent) -> list[Json]:
        """What an event adds to a choice that has its role."""
        index = event.choice
        match event:
            case ReasoningDelta(_, text):
                return [self._choice_chunk(index, {self._shape.reasoning_field: text}, None, None)]
            case TextDelta(_, text, tokens):
                self._silent.discard(index)
                logprobs = _logprobs(tokens) if self._shape.logprobs else None
                return [self._choice_chunk(index, {"content": text}, logprobs, None)]
            case ToolCallStarted():
                self._silent.discard(index)
                return [self._choice_chunk(index, self._call_head(event), None, None)]
            case ToolArgumentsDelta():
                return [self._choice_chunk(index, self._more_of_call(event), None, None)]
            case ChoiceEnded(_, reason):
                end = self._choice_chunk(index, {}, None, reason)
                empty = (
                    [self._choice_chunk(index, {"content": ""}, None, None)] if index in self._silent else []
                )
                return [*empty, end]

    def _role_chunk(self, index: int, delta: Json) -> Json:
        logprobs = _logprobs(()) if self._shape.logprobs else None
        refusal = {} if "function_call" in delta else {"refusal": None}
        return self._choice_chunk(index, {"role": "assistant", **delta, **refusal}, logprobs, None)

    def _call_head(self, call: ToolCallStarted) -> Json:
        if call.custom:
            self._custom.add((call.choice, call.index))
        return _call_delta(call.index, _call(call, "", self._shape), self._shape)

    def _more_of_call(self, event: ToolArgumentsDelta) -> Json:
        if self._shape.functions:
            return _call_delta(event.index, {"arguments": event.text}, self._shape)
        custom = (event.choice, event.index) in self._custom
        more = {"custom": {"input": event.text}} if custom else {"function": {"arguments": event.text}}
        return _call_delta(event.index, more, self._shape)

    def _choice_chunk(
        self, index: int, delta: Json, logprobs: Json | None, reason: FinishReason | None
    ) -> Json:
        told = _reason(reason, self._shape)
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": told}
        return self._chunk([choice], None)

    def _chunk(self, choices: Sequence[Json], usage: Usage | None) -> Json:
        chunk: Json = {
            "id": completion_id(self._head.id),
            "object": "chat.completion.chunk",
            "created": self._head.created,
            "model": self._head.model,
            "service_tier": self._head.tier,
            "system_fingerprint": f"fp_{self._head.fingerprint}",
            "choices": choices,
        }
        if self._shape.include_usage:
            chunk["usage"] = None if usage is None else usage_object(usage)
        return padded(chunk, self._random_text) if self._shape.obfuscate else chunk


class CompletionFold:
    """Events in, one completion object out."""

    def __init__(self, head: AnswerHead, shape: AnswerShape) -> None:
        self._head = head
        self._shape = shape
        self._texts: list[list[str]] = [[] for _ in range(head.choices)]
        self._thoughts: list[list[str]] = [[] for _ in range(head.choices)]
        self._tokens: list[list[ScoredToken]] = [[] for _ in range(head.choices)]
        self._calls: list[list[ToolCallStarted]] = [[] for _ in range(head.choices)]
        self._arguments: dict[tuple[int, int], list[str]] = {}
        self._reasons: list[FinishReason | None] = [None] * head.choices
        self._usage: Usage | None = None

    def push(self, event: AnswerEvent) -> None:
        """Take the next event."""
        match event:
            case ReasoningDelta(choice, text):
                self._thoughts[choice].append(text)
            case TextDelta(choice, text, tokens):
                self._texts[choice].append(text)
                self._tokens[choice].extend(tokens)
            case ToolCallStarted(choice, index):
                self._calls[choice].append(event)
                self._arguments[choice, index] = []
            case ToolArgumentsDelta(choice, index, text):
                self._arguments[choice, index].append(text)
            case ChoiceEnded(choice, reason):
                self._reasons[choice] = reason
            case _:
                self._usage = event.usage

    def completion(self) -> Json:
        """The whole answer; `Completed` must have been pushed."""
        assert self._usage is not None
        return {
            "id": completion_id(self._head.id),
            "object": "chat.completion",
            "created": self._head.created,
            "model": self._head.model,
            "choices": [self._choice(index) for index in range(self._head.choices)],
            "usage": usage_object(self._usage),
            "service_tier": self._head.tier,
            "system_fingerprint": f"fp_{self._head.fingerprint}",
        }

    def _choice(self, index: int) -> Json:
        return {
            "index": index,
            "message": self._message(index),
            "logprobs": _logprobs(self._tokens[index]) if self._shape.logprobs else None,
            "finish_reason": _reason(self._reasons[index], self._shape),
        }

    def _message(self, index: int) -> Json:
        calls = [
            _call(call, "".join(self._arguments[index, call.index]), self._shape)
            for call in self._calls[index]
        ]
        text = "".join(self._texts[index])
        message: Json = {
            "role": "assistant",
            "content": None if calls and not text else text,
            "refusal": None,
            "annotations": [],
        }
        if self._thoughts[index]:
            message[self._shape.reasoning_field] = "".join(self._thoughts[index])
        if not calls:
            return message
        return message | ({"function_call": calls[0]} if self._shape.functions else {"tool_calls": calls})


def _call(call: ToolCallStarted, arguments: str, shape: AnswerShape) -> Json:
    if shape.functions:
        return {"name": call.name, "arguments": arguments}
    kind, text = ("custom", "input") if call.custom else ("function", "arguments")
    return {"id": call_id(call.id), "type": kind, kind: {"name": call.name, text: arguments}}


def _call_delta(index: int, call: Json, shape: AnswerShape) -> Json:
    return {"function_call": call} if shape.functions else {"tool_calls": [{"index": index, **call}]}


def _reason(reason: FinishReason | None, shape: AnswerShape) -> str | None:
    return "function_call" if reason == "tool_calls" and shape.functions else reason


def padded(chunk: Json, random_text: Callable[[int], str]) -> Json:
    """The chunk with an `obfuscation`: its size tells little of its text's."""
    size = len(msgspec.json.encode(chunk | {"obfuscation": ""}))
    return chunk | {"obfuscation": random_text(-size % PADDING_BLOCK)}


def call_id(bare: str) -> str:
    """How a call's id is spelled on the wire."""
    return f"call_{bare}"


def completion_id(bare: str) -> str:
    """How a completion's id is spelled on the wire."""
    return f"chatcmpl-{bare}"


def _logprobs(tokens: Iterable[ScoredToken]) -> Json:
    return {"content": scored_objects(tokens), "refusal": None}


def token_object(token: ScoredToken | AlternativeToken) -> Json:
    """A token's text, where part of a character shows as U+FFFD, and its exact bytes."""
    return {
        "token": token.raw.decode("utf-8", "replace") if token.raw else token.text,
        "logprob": told_logprob(token.logprob),
        "bytes": list(token.raw) if token.raw else None,
    }


def scored_objects(
    tokens: Iterable[ScoredToken], spell: Callable[[ScoredToken | AlternativeToken], Json] = token_object
) -> list[Json]:
    """Tokens with their alternatives, each spelled alike."""
    return [
        {**spell(token), "top_logprobs": [spell(candidate) for candidate in token.top]} for token in tokens
    ]


def told_logprob(logprob: float | None) -> float:
    """A logprob that JSON can hold."""
    # False for NaN as well as for minus infinity.
    return logprob if logprob is not None and logprob > LOWEST_LOGPROB else LOWEST_LOGPROB


def usage_object(usage: Usage) -> Json:
    """Tokens used. Details that cannot occur here are zeros, not absent: clients add usage up key by key."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
