"""From events to the wire in the shape of responses: items that grow, told event by event.

One machine without I/O tells the events of a stream and holds the response that they add up to, so
a whole answer is what the last event of a stream holds. What is particular to a kind of item is in `output`.

Order: `response.created`, `response.in_progress`; per item `response.output_item.added`, what it grows
by, `response.output_item.done`; last `response.completed`, `response.incomplete` or `response.failed`.

Invariant: items are numbered from 0, one is open at a time, and no event tells of an item before
it was added or after it was done.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from antiphon.api.encode import Json, padded
from antiphon.api.responses.output import (
    CallItem,
    CustomCallItem,
    ItemStatus,
    MessageItem,
    OutputItem,
    ReasoningItem,
    Told,
)
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

MakeItem = Callable[[str, int], OutputItem]
"""Makes the item at a place of the response with a bare id."""


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
    encoded: bool = False
    """What was thought is repeated in `encrypted_content`."""


def response_id(bare: str) -> str:
    """How a response's id is spelled on the wire."""
    return f"resp_{bare}"


class ResponseEncoder:
    """Events in, events of the wire out. `random_text(n)`, where given, pads what texts' lengths show."""

    def __init__(self, head: ResponseHead, random_text: Callable[[int], str] | None = None) -> None:
        self._head = head
        self._random_text = random_text
        self._sequence = 0
        self._open: OutputItem | None = None
        self._output: list[Json] = []
        self._status: ItemStatus | Literal["failed"] = "in_progress"
        self._usage: Usage | None = None
        self._error: Json | None = None

    def opening(self) -> list[Json]:
        """The events before any of the answer's."""
        return [self._lifecycle("created"), self._lifecycle("in_progress")]

    def push(self, event: AnswerEvent) -> list[Json]:
        """The events that an event adds."""
        match event:
            case TextDelta(text="", tokens=()) | ReasoningDelta(text=""):
                return []
            case ReasoningDelta(text=text):
                return [*self._open_as(ReasoningItem, self._make_reasoning), self._grow(text)]
            case TextDelta(text=text, tokens=tokens):
                return [*self._open_as(MessageItem, MessageItem), self._grow(text, tokens)]
            case ToolCallStarted(custom=custom):
                return self._begin(partial(CustomCallItem if custom else CallItem, call=event))
            case ToolArgumentsDelta(text=text):
                return [self._grow(text)]
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

    def _item_event(self, item: OutputItem, told: Told) -> Json:
        kind, members = told
        return self._event(f"response.{kind}", item_id=item.id, output_index=item.index, **members)

    def _open_as(self, kind: type[OutputItem], make: MakeItem) -> list[Json]:
        """Open an item, where none of this kind is open."""
        return [] if isinstance(self._open, kind) else self._begin(make)

    def _make_reasoning(self, response: str, index: int) -> OutputItem:
        return ReasoningItem(response, index, encode=self._head.encoded)

    def _begin(self, make: MakeItem) -> list[Json]:
        """Open an item; what was open before is done."""
        done = self._finish("completed")
        self._open = item = make(self._head.id, len(self._output))
        added = self._item_told("added", item, "in_progress")
        return [*done, added, *(self._item_event(item, told) for told in item.opening())]

    def _grow(self, text: str, tokens: Sequence[ScoredToken] = ()) -> Json:
        assert self._open is not None
        event = self._item_event(self._open, self._open.add(text, tokens))
        return event if self._random_text is None else padded(event, self._random_text)

    def _end(self, reason: FinishReason) -> list[Json]:
        self._status = "incomplete" if reason == "length" else "completed"
        # A model that said nothing still answered, and clients look for a message; one that was cut while it
        # thought did not come to that.
        only_thought = isinstance(self._open, ReasoningItem) and reason != "length"
        empty = self._begin(MessageItem) if self._open is None or only_thought else []
        return [*empty, *self._finish(self._status)]

    def _finish(self, status: ItemStatus) -> list[Json]:
        """The end of the open item, if one is open."""
        item, self._open = self._open, None
        if item is None:
            return []
        self._output.append(item.told(status))
        return [
            *(self._item_event(item, told) for told in item.closing()),
            self._item_told("done", item, status),
        ]

    def _item_told(self, what: str, item: OutputItem, status: ItemStatus) -> Json:
        return self._event(f"response.output_item.{what}", output_index=item.index, item=item.told(status))


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
