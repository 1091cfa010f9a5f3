"""From events to the wire in the shape of responses: items that grow, told event by event.

One machine without I/O tells the events of a stream and holds the response that they add up to, so
a whole answer is what the last event of a stream holds.

Order: `response.created`, `response.in_progress`; per item `response.output_item.added`, what it grows
by, `response.output_item.done`; last `response.completed`, `response.incomplete` or `response.failed`.

Invariant: items are numbered from 0, one is open at a time, and no event tells of an item before
it was added or after it was done.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.api.encode import Json, call_id, padded, token_object
from antiphon.core.events import (
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

Status = Literal["in_progress", "completed", "incomplete", "failed"]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What a response is told of before and apart from its output."""

    id: str
    """Bare."""
    created: int
    """Unix seconds."""
    model: str
    facts: Mapping[str, Any]
    """What it repeats of its request."""
    metadata: Mapping[str, str]
    tier: str = "default"
    stored: bool = False


def response_id(bare: str) -> str:
    """How a response's id is spelled on the wire."""
    return f"resp_{bare}"


@dataclass(slots=True)
class _Item:
    """The item that grows: a message, or a call."""

    index: int
    id: str
    call: ToolCallStarted | None
    pieces: list[str] = field(default_factory=list)
    tokens: list[ScoredToken] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class ResponseEncoder:
    """Events in, events of the wire out. `random_text(n)`, where given, pads what texts' lengths show."""

    def __init__(self, head: ResponseHead, random_text: Callable[[int], str] | None = None) -> None:
        self._head = head
        self._random_text = random_text
        self._sequence = 0
        self._open: _Item | None = None
        self._output: list[Json] = []
        self._status: Status = "in_progress"
        self._usage: Usage | None = None
        self._error: Json | None = None

    def opening(self) -> list[Json]:
        """The events before any of the answer's."""
        return [self._lifecycle("created"), self._lifecycle("in_progress")]

    def push(self, event: AnswerEvent) -> list[Json]:
        """The events that an event adds."""
        match event:
            case TextDelta(text="", tokens=()) | ReasoningDelta():
                # What is thought is counted, not told: it has no item yet.
                return []
            case TextDelta():
                return [*self._begin_message(), self._text_delta(event)]
            case ToolCallStarted():
                return self._finish_item("completed") + self._begin(event)
            case ToolArgumentsDelta(text=text):
                return [self._arguments_delta(text)]
            case ChoiceEnded(reason=reason):
                return self._end(reason)
            case Completed(usage):
                self._usage = usage
                return [self._lifecycle(self._status)]

    def fail(self, code: str, message: str) -> list[Json]:
        """The last event of a response that cannot go on."""
        self._status, self._error = "failed", {"code": code, "message": message}
        return [self._lifecycle("failed")]

    def response(self) -> Json:
        """The response as it is now, with the items that are done."""
        incomplete = {"reason": "max_output_tokens"} if self._status == "incomplete" else None
        facts = dict(self._head.facts)
        return {
            "id": response_id(self._head.id),
            "object": "response",
            "created_at": self._head.created,
            "status": self._status,
            "background": False,
            "error": self._error,
            "incomplete_details": incomplete,
            "model": self._head.model,
            "output": list(self._output),
            **facts,
            "service_tier": self._head.tier,
            "store": self._head.stored,
            "usage": None if self._usage is None else _usage(self._usage),
            "metadata": dict(self._head.metadata),
        }

    def _lifecycle(self, what: str) -> Json:
        return self._event(f"response.{what}", response=self.response())

    def _event(self, kind: str, **members: Any) -> Json:
        event = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        return event

    def _item_event(self, kind: str, item: _Item, **members: Any) -> Json:
        return self._event(kind, item_id=item.id, output_index=item.index, **members)

    def _begin_message(self) -> list[Json]:
        """Open a message, where none is open."""
        return [] if self._open else self._begin(None)

    def _begin(self, call: ToolCallStarted | None) -> list[Json]:
        index = len(self._output)
        self._open = item = _Item(index, f"{'msg' if call is None else 'fc'}_{self._head.id}{index}", call)
        added = self._event("response.output_item.added", output_index=index, item=_told(item, "in_progress"))
        if call is not None:
            return [added]
        part = _part("", ())
        return [added, self._item_event("response.content_part.added", item, content_index=0, part=part)]

    def _text_delta(self, event: TextDelta) -> Json:
        assert self._open is not None
        self._open.pieces.append(event.text)
        self._open.tokens += event.tokens
        members = {"content_index": 0, "delta": event.text, "logprobs": _logprobs(event.tokens)}
        return self._padded(self._item_event("response.output_text.delta", self._open, **members))

    def _arguments_delta(self, text: str) -> Json:
        assert self._open is not None
        self._open.pieces.append(text)
        return self._padded(
            self._item_event("response.function_call_arguments.delta", self._open, delta=text)
        )

    def _end(self, reason: FinishReason) -> list[Json]:
        # A model that said nothing still answered: clients look for a message.
        events = [] if self._open or self._output else self._begin_message()
        self._status = "incomplete" if reason == "length" else "completed"
        return events + self._finish_item(self._status)

    def _finish_item(self, status: Status) -> list[Json]:
        """The end of the open item, if one is open."""
        item, self._open = self._open, None
        if item is None:
            return []
        self._output.append(_told(item, status))
        grown = self._message_ends(item) if item.call is None else [self._arguments_end(item)]
        done = self._event("response.output_item.done", output_index=item.index, item=_told(item, status))
        return [*grown, done]

    def _message_ends(self, item: _Item) -> list[Json]:
        part = _part(item.text, item.tokens)
        logprobs = _logprobs(item.tokens)
        return [
            self._item_event(
                "response.output_text.done", item, content_index=0, text=item.text, logprobs=logprobs
            ),
            self._item_event("response.content_part.done", item, content_index=0, part=part),
        ]

    def _arguments_end(self, item: _Item) -> Json:
        assert item.call is not None
        return self._item_event(
            "response.function_call_arguments.done", item, name=item.call.name, arguments=item.text
        )

    def _padded(self, event: Json) -> Json:
        return event if self._random_text is None else padded(event, self._random_text)


def _told(item: _Item, status: Status) -> Json:
    """An item; one in progress is empty, and grows by the events that follow."""
    text = "" if status == "in_progress" else item.text
    if item.call is not None:
        call = {"call_id": call_id(item.call.id), "name": item.call.name}
        return {"id": item.id, "type": "function_call", "status": status, "arguments": text, **call}
    content = [] if status == "in_progress" else [_part(text, item.tokens)]
    return {"id": item.id, "type": "message", "status": status, "content": content, "role": "assistant"}


def _part(text: str, tokens: Iterable[ScoredToken]) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": _logprobs(tokens), "text": text}


def _logprobs(tokens: Iterable[ScoredToken]) -> list[Json]:
    return [
        {**_scored(token), "top_logprobs": [_scored(candidate) for candidate in token.top]}
        for token in tokens
    ]


def _scored(token: Any) -> Json:
    told = token_object(token)
    return told | {"bytes": told["bytes"] or []}


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
