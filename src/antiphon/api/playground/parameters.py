"""The scalar fields of a chat request, as a form needs them: kind, bounds, choices, default.

Taken from the table that requests are checked against, so a page never offers what is refused.
Fields with a shape of their own (messages, tools, formats) are the page's business.
"""

from collections.abc import Iterator
from typing import Any

from antiphon.api.wire.fields import FIELDS, Field
from antiphon.api.wire.reader import ChoiceReader, IntegerReader, NumberReader, read_bool

_NOT_OFFERED = frozenset({"stream"})
"""The page has a control of its own for these."""


def parameters() -> list[dict[str, Any]]:
    """One entry per field that has an effect and a scalar value, in the order of the table."""
    offered = (f for f in FIELDS if f.verdict == "supported" and f.name not in _NOT_OFFERED)
    return [entry for field in offered for entry in _entries(field)]


def _entries(field: Field[Any]) -> Iterator[dict[str, Any]]:
    """The field's entry, if it is a scalar."""
    kind: dict[str, Any]
    match field.read:
        case IntegerReader(minimum, maximum):
            kind = {"kind": "integer", "minimum": minimum, "maximum": maximum}
        case NumberReader(minimum, maximum):
            kind = {"kind": "number", "minimum": minimum, "maximum": maximum}
        case ChoiceReader(choices):
            kind = {"kind": "choice", "choices": choices}
        case reader if reader is read_bool:
            kind = {"kind": "boolean"}
        case _:
            return
    yield {"name": field.name, **kind, "default": field.default, "note": field.reason}
