"""A stored completion as JSON text and back.

Events are written as `[class name, fields]`; the texts, numbers and JSON data of a request are
written as they are. Fields that a later version adds need a default, and are then absent in what
an earlier one wrote; renaming a field or an event needs a migration.

Invariant: `decode(encode(completion)) == completion`.
"""

import json
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from antiphon.core.events import AnswerEvent
from antiphon.core.stored import Keeping, StoredCompletion

_EVENTS: Mapping[str, Any] = {kind.__name__: kind for kind in get_args(AnswerEvent)}


def encode(completion: StoredCompletion) -> str:
    """One line of JSON; logprobs may be -Infinity, which Python's reader knows."""
    data = msgspec.to_builtins(completion)
    data["answer"] = [
        (type(event).__name__, fields)
        for event, fields in zip(completion.answer, data["answer"], strict=True)
    ]
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> StoredCompletion:
    """The completion that was encoded."""
    data: dict[str, Any] = json.loads(text)
    data["answer"] = tuple(msgspec.convert(fields, _EVENTS[name]) for name, fields in data["answer"])
    data["keeping"] = Keeping(**data["keeping"])
    return StoredCompletion(**data)
