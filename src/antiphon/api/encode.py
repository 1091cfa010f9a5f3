"""From the conversation vocabulary to the wire: events become chunks, or fold into one completion.

Both are machines without I/O. `ChunkEncoder` gives the chunks of a stream in OpenAI's order: a
role chunk per choice, text, calls, one finish chunk per choice, the usage chunk when asked for. An
unstreamed answer is `CompletionFold` over the very same events. Keys are in the order OpenAI
writes them; a key that has nothing to say is left out where OpenAI leaves it out.

Invariant: per choice one role, then text, then calls, then one finish reason; nothing after `Completed`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from antiphon.core.events import (
    AlternativeToken,
    AnswerEvent,
    ChoiceEnded,
    FinishReason,
    ScoredToken,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)

Json = dict[str, Any]

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
    calls_only: bool = False
    """It must call: there is no text to begin with."""
    functions: bool = False
    """Its call is spelled in the deprecated form."""


class ChunkEncoder:
    """Events in, chunks out. `random_text(n)` gives n characters for the padding of obfuscated chunks."""

    def __init__(self, head: AnswerHead, shape: AnswerShape, random_text: Callable[[int], str]) -> None:
        self._head = head
        self._shape = shape
        self._random_text = random_text

    def opening(self) -> list[Json]:
        """The role chunks of all choices, in the order of their indices, before any event.

        The Python SDK's accumulator fails when a choice appears before a lower one has.
        """
        delta = {"role": "assistant", "content": None if self._shape.calls_only else "", "refusal": None}
        logprobs = _logprobs(()) if self._shape.logprobs else None
        return [self._choice_chunk(index, delta, logprobs, None) for index in range(self._head.choices)]

    def push(self, event: AnswerEvent) -> list[Json]:
        """The chunks that an event adds: none or one."""
        match event:
            case TextDelta(text="", tokens=()):
                return []
            case TextDelta(choice, text, tokens):
                logprobs = _logprobs(tokens) if self._shape.logprobs else None
                return [self._choice_chunk(choice, {"content": text}, logprobs, None)]
            case ToolCallStarted(choice, index):
                call = _call(event, "", self._shape)
                return [self._choice_chunk(choice, _call_delta(index, call, self._shape), None, None)]
            case ToolArgumentsDelta(choice, index, text):
                more = {"arguments": text} if self._shape.functions else {"function": {"arguments": text}}
                return [self._choice_chunk(choice, _call_delta(index, more, self._shape), None, None)]
            case ChoiceEnded(choice, reason):
                return [self._choice_chunk(choice, {}, None, reason)]
            case _:
                return [self._chunk([], event.usage)] if self._shape.include_usage else []

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
            chunk["usage"] = None if usage is None else _usage(usage)
        if self._shape.obfuscate:
            chunk["obfuscation"] = ""
            size = len(msgspec.json.encode(chunk))
            chunk["obfuscation"] = self._random_text(-size % PADDING_BLOCK)
        return chunk


class CompletionFold:
    """Events in, one completion object out."""

    def __init__(self, head: AnswerHead, shape: AnswerShape) -> None:
        self._head = head
        self._shape = shape
        self._texts: list[list[str]] = [[] for _ in range(head.choices)]
        self._tokens: list[list[ScoredToken]] = [[] for _ in range(head.choices)]
        self._calls: list[list[ToolCallStarted]] = [[] for _ in range(head.choices)]
        self._arguments: dict[tuple[int, int], list[str]] = {}
        self._reasons: list[FinishReason | None] = [None] * head.choices
        self._usage: Usage | None = None

    def push(self, event: AnswerEvent) -> None:
        """Take the next event."""
        match event:
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
            "usage": _usage(self._usage),
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
        if not calls:
            return message
        return message | ({"function_call": calls[0]} if self._shape.functions else {"tool_calls": calls})


def _call(call: ToolCallStarted, arguments: str, shape: AnswerShape) -> Json:
    function = {"name": call.name, "arguments": arguments}
    return function if shape.functions else {"id": call_id(call.id), "type": "function", "function": function}


def _call_delta(index: int, call: Json, shape: AnswerShape) -> Json:
    return {"function_call": call} if shape.functions else {"tool_calls": [{"index": index, **call}]}


def _reason(reason: FinishReason | None, shape: AnswerShape) -> str | None:
    return "function_call" if reason == "tool_calls" and shape.functions else reason


def call_id(bare: str) -> str:
    """How a call's id is spelled on the wire."""
    return f"call_{bare}"


def completion_id(bare: str) -> str:
    """How a completion's id is spelled on the wire."""
    return f"chatcmpl-{bare}"


def _logprobs(tokens: Iterable[ScoredToken]) -> Json:
    content = [
        {**_token(token), "top_logprobs": [_token(candidate) for candidate in token.top]} for token in tokens
    ]
    return {"content": content, "refusal": None}


def _token(token: ScoredToken | AlternativeToken) -> Json:
    """A token's text, where part of a character shows as U+FFFD, and its exact bytes."""
    return {
        "token": token.raw.decode("utf-8", "replace") if token.raw else token.text,
        # False for NaN as well as for minus infinity.
        "logprob": token.logprob if token.logprob > LOWEST_LOGPROB else LOWEST_LOGPROB,
        "bytes": list(token.raw) if token.raw else None,
    }


def _usage(usage: Usage) -> Json:
    """Details that cannot occur here are zeros, not absent: clients add usage up key by key."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
