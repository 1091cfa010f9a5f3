"""Stored completions on the wire: what of a request is kept for them, and how they are spelled.

A stored completion is the answer as it was given whole, with the facts of the request that OpenAI
adds. Its messages are those of the request, numbered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from antiphon.api.encode import AnswerHead, AnswerShape, CompletionFold, Json, completion_id
from antiphon.api.http_errors import IdNotFound
from antiphon.api.options import ApiOptions
from antiphon.api.wire import fields
from antiphon.api.wire.fields import FieldValues
from antiphon.core.stored import Keeping, StoredCompletion

_PREFIX = completion_id("")
_SHAPE = "shape"
"""Among the facts: how the answer is spelled; not part of the stored object."""
_REPLAYED = ("refusal", "tool_calls", "tool_call_id", "function_call")


@dataclass(frozen=True, slots=True)
class StoreWish:
    """What a request that asks to be stored wants kept; `Keeping` without whose it is."""

    messages: Sequence[object]
    facts: Mapping[str, object]
    metadata: Mapping[str, str]

    def of(self, project: str, request_id: str) -> Keeping:
        """The wish of this project's request."""
        return Keeping(project, request_id, self.messages, self.facts, self.metadata)


def store_wish(body: Mapping[str, Any], values: FieldValues, options: ApiOptions) -> StoreWish | None:
    """What to keep of a valid request, or None where it does not ask to be stored."""
    if not values[fields.STORE]:
        return None
    facts = {
        "tool_choice": body.get("tool_choice"),
        "tools": body.get("tools"),
        "top_p": values[fields.TOP_P],
        "temperature": values[fields.TEMPERATURE],
        "presence_penalty": values[fields.PRESENCE_PENALTY],
        "frequency_penalty": values[fields.FREQUENCY_PENALTY],
        "response_format": body.get("response_format"),
        "input_user": body.get("user"),
        _SHAPE: {
            "logprobs": values[fields.LOGPROBS],
            "functions": bool(values[fields.FUNCTIONS]),
            "reasoning_field": options.reasoning_field,
        },
    }
    return StoreWish(body["messages"], facts, values[fields.METADATA])


def bare_id(spelled: str) -> str:
    """A completion's id without its prefix.

    Raises:
        IdNotFound: no completion's id is spelled so.
    """
    if not spelled.startswith(_PREFIX):
        raise IdNotFound("Chat completion", spelled)
    return spelled.removeprefix(_PREFIX)


def stored_object(stored: StoredCompletion) -> Json:
    """The whole answer and what OpenAI tells of its request."""
    facts = dict(stored.keeping.facts)
    head = AnswerHead(stored.id, stored.created, stored.model, stored.fingerprint, stored.choices)
    fold = CompletionFold(head, msgspec.convert(facts.pop(_SHAPE), AnswerShape))
    for event in stored.answer:
        fold.push(event)
    answer = fold.completion()
    for choice in answer["choices"]:
        choice["message"] = {"tool_calls": None, "function_call": None} | choice["message"]
    return {
        **answer,
        "request_id": stored.keeping.request_id,
        "seed": stored.seed,
        **facts,
        "metadata": dict(stored.keeping.metadata),
    }


def stored_messages(stored: StoredCompletion) -> list[Json]:
    """The messages of the request, in their order."""
    return [
        _message(f"{completion_id(stored.id)}-{index}", message)
        for index, message in enumerate(stored.keeping.messages)
        if isinstance(message, dict)
    ]


def list_object(data: Sequence[Json], *, has_more: bool) -> Json:
    """A page of a list."""
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def behind(what: str, items: list[Json], after: str | None) -> list[Json]:
    """The items that follow the one with this id; all of them where there is none to go on behind.

    Raises:
        IdNotFound: no item has this id; `what` it is begins the sentence.
    """
    if after is None:
        return items
    for place, item in enumerate(items, 1):
        if item["id"] == after:
            return items[place:]
    raise IdNotFound(what, after)


def _message(id: str, message: Mapping[str, Any]) -> Json:
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    return {
        "id": id,
        "role": message["role"],
        "content": content if parts is None else "\n".join(map(_part_text, parts)),
        "name": message.get("name"),
        "content_parts": parts,
        **{key: message[key] for key in _REPLAYED if message.get(key) is not None},
    }


def _part_text(part: Mapping[str, str]) -> str:
    return part[part["type"]]
