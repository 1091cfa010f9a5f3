"""Stored responses on the wire: what is kept of one, how it is spelled, and what goes on behind it.

A response is kept with all items of its conversation, those of earlier responses included: what goes on
behind it needs no other, whatever is deleted meanwhile.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from antiphon.api.encode import Json
from antiphon.api.http_errors import IdNotFound
from antiphon.api.responses.decode import ResponseCall
from antiphon.api.responses.encode import ResponseEncoder, ResponseHead, response_id
from antiphon.api.responses.items import MAX_ITEMS, InputItem, ItemReference, read_input
from antiphon.api.streaming import random_text
from antiphon.api.wire.reader import Cursor
from antiphon.api.wire.words import excerpt
from antiphon.core.errors import ArrayTooLong, InvalidValue, StoredNotFound
from antiphon.core.stored import Keeping, StoredCompletion

_PREFIX: Final = response_id("")
_ITEM_ID: Final = re.compile(r"[a-z]{2,4}_([0-9a-f]{32})[0-9]{1,4}")
_MAX_REFERRED: Final = 256
"""Responses that the references of one request lead to at most."""
_ITEM_PREFIXES: Final = MappingProxyType(
    {
        "function_call": "fc",
        "function_call_output": "fco",
        "custom_tool_call": "ctc",
        "custom_tool_call_output": "ctco",
        "reasoning": "rs",
    }
)

Find = Callable[[str], Awaitable[StoredCompletion]]
"""The caller's stored response of a bare id; raises `StoredNotFound`."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a request goes on behind, and all items of the conversation then."""

    items: tuple[InputItem, ...]

    @property
    def raw(self) -> list[Any]:
        """The items as they are kept."""
        return [dict(item.raw) for item in self.items]


def bare_id(spelled: str) -> str:
    """A response's id without its prefix.

    Raises:
        IdNotFound: no response's id is spelled so.
    """
    if not spelled.startswith(_PREFIX):
        raise IdNotFound("Response", spelled)
    return spelled.removeprefix(_PREFIX)


async def context_of(call: ResponseCall, find: Find) -> Context:
    """All items of the conversation that a request continues.

    Raises:
        InvalidValue: something that it refers to is not stored.
        ArrayTooLong: together there are too many.
    """
    before = () if call.previous is None else await _previous(call.previous, find)
    items = (*before, *await _resolved(call.items, find))
    if len(items) > MAX_ITEMS:
        raise ArrayTooLong("input", MAX_ITEMS, len(items))
    return Context(items)


async def _previous(spelled: str, find: Find) -> tuple[InputItem, ...]:
    try:
        stored = await find(bare_id(spelled))
    except (StoredNotFound, IdNotFound):
        reason = f"Previous response with id '{excerpt(spelled)}' not found."
        raise InvalidValue("previous_response_id", reason, code="previous_response_not_found") from None
    return _read_back([*stored.keeping.messages, *stored_response(stored)["output"]])


async def _resolved(items: Sequence[InputItem], find: Find) -> list[InputItem]:
    """The items, each reference replaced by what it refers to."""
    references = [item.meaning.id for item in items if isinstance(item.meaning, ItemReference)]
    if not references:
        return list(items)
    found = await _find_items(references, find)
    return [found[item.meaning.id] if isinstance(item.meaning, ItemReference) else item for item in items]


async def _find_items(ids: Sequence[str], find: Find) -> dict[str, InputItem]:
    responses = dict.fromkeys(match[1] for id in ids if (match := _ITEM_ID.fullmatch(id)))
    if len(responses) > _MAX_REFERRED:
        raise ArrayTooLong("input", _MAX_REFERRED, len(responses))
    known: dict[str, InputItem] = {}
    for bare in responses:
        try:
            output = stored_response(await find(bare))["output"]
        except StoredNotFound:
            continue
        known |= {str(item.raw["id"]): item for item in _read_back(output)}
    missing = next((id for id in ids if id not in known), None)
    if missing is not None:
        reason = (
            f"Item with id '{excerpt(missing)}' not found. Items are kept with responses that are stored."
        )
        raise InvalidValue("input", reason, code=None)
    return known


def _read_back(raw: Sequence[object]) -> tuple[InputItem, ...]:
    """Items that were valid once."""
    return read_input(Cursor(list(raw[:MAX_ITEMS]), "input"))


def keeping_of(call: ResponseCall, context: Context, project: str, request_id: str) -> Keeping:
    """What to keep of a request."""
    facts = {"response": dict(call.facts), "tier": call.request.tier, "encoded": call.encoded}
    return Keeping(project, request_id, context.raw, facts, call.metadata)


def stored_response(stored: StoredCompletion, *, encode: bool = False) -> Json:
    """The response as it was answered; with `encode` its thoughts are in `encrypted_content` in any case."""
    encoder = ResponseEncoder(_head(stored, encode=encode))
    for event in stored.answer:
        encoder.push(event)
    return encoder.response()


def stored_events(stored: StoredCompletion, *, encode: bool = False, obfuscate: bool = False) -> list[Json]:
    """The events that tell of it from its beginning, always the same ones.

    They are fewer than those of its answer, for of deltas only what they add up to is kept.
    """
    encoder = ResponseEncoder(_head(stored, encode=encode), random_text if obfuscate else None)
    return [*encoder.opening(), *(told for event in stored.answer for told in encoder.push(event))]


def _head(stored: StoredCompletion, *, encode: bool) -> ResponseHead:
    facts: Any = stored.keeping.facts
    return ResponseHead(
        stored.id,
        stored.created,
        stored.model,
        facts["response"],
        stored.keeping.metadata,
        tier=facts["tier"],
        stored=True,
        encoded=encode or facts.get("encoded", False),
    )


def input_items(stored: StoredCompletion) -> list[Json]:
    """The items that a response answered, oldest first, each with an id and a status."""
    return [_listed(stored.id, place, item) for place, item in enumerate(_items(stored))]


def _items(stored: StoredCompletion) -> Iterable[dict[str, Any]]:
    return (dict(item) for item in stored.keeping.messages if isinstance(item, dict))


def _listed(bare: str, place: int, item: dict[str, Any]) -> Json:
    kind = item["type"]
    id = item.get("id") or f"{_ITEM_PREFIXES.get(kind, 'msg')}_{bare}i{place}"
    if isinstance(item.get("content"), str):
        part = "output_text" if item["role"] == "assistant" else "input_text"
        item["content"] = [{"type": part, "text": item["content"]}]
    return {"status": "completed", **item, "id": id}
