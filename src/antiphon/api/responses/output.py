"""The items of a response's output: how each kind is told, and the events by which it grows.

An event is told without its number and its item's place, which `encode` adds.

Invariant: an item in progress is empty, and the deltas that follow add up to what it holds when it is done.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

from antiphon.api.encode import Json, call_id, scored_objects, token_object
from antiphon.api.responses.thoughts import encoded
from antiphon.core.events import AlternativeToken, ScoredToken, ToolCallStarted

ItemStatus = Literal["in_progress", "completed", "incomplete"]

Told = tuple[str, Json]
"""An event's type without `response.`, and its members."""


class OutputItem(ABC):
    """One item, which grows."""

    kind: ClassVar[str]
    prefix: ClassVar[str]
    """Of its id."""

    def __init__(self, response: str, index: int) -> None:
        """The item at this place in the output of the response with this bare id."""
        self.index = index
        self.id = f"{self.prefix}_{response}{index}"
        self._pieces: list[str] = []

    def told(self, status: ItemStatus) -> Json:
        """The item as it is; one in progress is empty."""
        members = self._empty() if status == "in_progress" else self._filled("".join(self._pieces))
        return {"id": self.id, "type": self.kind, "status": status, **members}

    def opening(self) -> list[Told]:
        """Behind the event that adds it."""
        return []

    def add(self, text: str, tokens: Sequence[ScoredToken] = ()) -> Told:
        """Grow by this text; `tokens` scores it, in a message."""
        self._pieces.append(text)
        return self._grown(text)

    def closing(self) -> list[Told]:
        """Before the event that says that it is done."""
        return self._closed("".join(self._pieces))

    @abstractmethod
    def _empty(self) -> Json: ...

    @abstractmethod
    def _filled(self, text: str) -> Json: ...

    @abstractmethod
    def _grown(self, text: str) -> Told: ...

    @abstractmethod
    def _closed(self, text: str) -> list[Told]: ...


class MessageItem(OutputItem):
    """What the assistant says: a message of one part."""

    kind = "message"
    prefix = "msg"

    def __init__(self, response: str, index: int) -> None:
        """As `OutputItem`."""
        super().__init__(response, index)
        self._tokens: list[ScoredToken] = []

    def opening(self) -> list[Told]:
        """Its part."""
        return [("content_part.added", {"content_index": 0, "part": _text_part("", ())})]

    def add(self, text: str, tokens: Sequence[ScoredToken] = ()) -> Told:
        """Grow by this text and the scores of its tokens."""
        self._tokens += tokens
        kind, members = super().add(text)
        return kind, members | {"logprobs": _scored(tokens)}

    def _empty(self) -> Json:
        return {"content": [], "role": "assistant"}

    def _filled(self, text: str) -> Json:
        return {"content": [_text_part(text, self._tokens)], "role": "assistant"}

    def _grown(self, text: str) -> Told:
        return "output_text.delta", {"content_index": 0, "delta": text}

    def _closed(self, text: str) -> list[Told]:
        return [
            ("output_text.done", {"content_index": 0, "text": text, "logprobs": _scored(self._tokens)}),
            ("content_part.done", {"content_index": 0, "part": _text_part(text, self._tokens)}),
        ]


class ReasoningItem(OutputItem):
    """What the assistant thinks: the text itself, and no summary."""

    kind = "reasoning"
    prefix = "rs"

    def __init__(self, response: str, index: int, *, encode: bool) -> None:
        """With `encode` the text is repeated in `encrypted_content`."""
        super().__init__(response, index)
        self._encode = encode

    def opening(self) -> list[Told]:
        """Its part."""
        return [("content_part.added", {"content_index": 0, "part": _thought_part("")})]

    def _empty(self) -> Json:
        return {"summary": [], "content": []}

    def _filled(self, text: str) -> Json:
        kept = {"encrypted_content": encoded(text)} if self._encode else {}
        return {"summary": [], "content": [_thought_part(text)], **kept}

    def _grown(self, text: str) -> Told:
        return "reasoning_text.delta", {"content_index": 0, "delta": text}

    def _closed(self, text: str) -> list[Told]:
        return [
            ("reasoning_text.done", {"content_index": 0, "text": text}),
            ("content_part.done", {"content_index": 0, "part": _thought_part(text)}),
        ]


class CallItem(OutputItem):
    """A call of a function, which grows by its arguments."""

    kind = "function_call"
    prefix = "fc"
    input_key: ClassVar[str] = "arguments"
    event: ClassVar[str] = "function_call_arguments"

    def __init__(self, response: str, index: int, call: ToolCallStarted) -> None:
        """The item of this call."""
        super().__init__(response, index)
        self._call = call

    def _empty(self) -> Json:
        return self._filled("")

    def _filled(self, text: str) -> Json:
        return {self.input_key: text, "call_id": call_id(self._call.id), "name": self._call.name}

    def _grown(self, text: str) -> Told:
        return f"{self.event}.delta", {"delta": text}

    def _closed(self, text: str) -> list[Told]:
        return [(f"{self.event}.done", {"name": self._call.name, self.input_key: text})]


class CustomCallItem(CallItem):
    """A call of a custom tool, which grows by its input."""

    kind = "custom_tool_call"
    prefix = "ctc"
    input_key = "input"
    event = "custom_tool_call_input"

    def _closed(self, text: str) -> list[Told]:
        return [(f"{self.event}.done", {self.input_key: text})]


def _text_part(text: str, tokens: Sequence[ScoredToken]) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": _scored(tokens), "text": text}


def _thought_part(text: str) -> Json:
    return {"type": "reasoning_text", "text": text}


def _scored(tokens: Sequence[ScoredToken]) -> list[Json]:
    return scored_objects(tokens, _spelled)


def _spelled(token: ScoredToken | AlternativeToken) -> Json:
    """As chat completions spell it, but for tokens without bytes."""
    told = token_object(token)
    return told | {"bytes": told["bytes"] or []}
