"""What a query asks for: pages and filters of a list, `include`, and a stored response as a stream.

Parameters that nobody knows are ignored. Of one that is given twice the last counts, except that
every pair of metadata must match.
"""

import re

from starlette.datastructures import QueryParams

from antiphon.api.wire.reader import Cursor, invalid_choice
from antiphon.api.wire.shapes import MAX_METADATA, read_metadata
from antiphon.core.errors import ArrayTooLong, InvalidType, NumberOutOfRange
from antiphon.core.stored import Order

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

_ORDERS: tuple[Order, ...] = ("asc", "desc")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


def read_limit(query: QueryParams) -> int:
    """How many items at most."""
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not _INTEGER.fullmatch(text):
        raise InvalidType("limit", "an integer", "a string")
    limit = int(text)
    if limit < 1:
        raise NumberOutOfRange("limit", limit, integer=True, minimum=1)
    if limit > MAX_LIMIT:
        raise NumberOutOfRange("limit", limit, integer=True, maximum=MAX_LIMIT)
    return limit


def read_order(query: QueryParams, default: Order = "asc") -> Order:
    """By time of creation, upwards or downwards."""
    text = query.get("order", default)
    for order in _ORDERS:
        if text == order:
            return order
    raise invalid_choice("order", text, _ORDERS)


def read_switch(query: QueryParams, name: str) -> bool:
    """A switch that is off unless it is said to be on."""
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise invalid_choice(name, text, ("true", "false"))
    return text == "true"


def read_starting_after(query: QueryParams) -> int:
    """The number of the event to go on behind; -1 where all are wanted."""
    text = query.get("starting_after", "-1")
    if not _INTEGER.fullmatch(text):
        raise InvalidType("starting_after", "an integer", "a string")
    number = int(text)
    if number < 0 and "starting_after" in query:
        raise NumberOutOfRange("starting_after", number, integer=True, minimum=0)
    return number


def included(query: QueryParams) -> Cursor:
    """The values of `include`, which SDKs write with brackets and others without."""
    return Cursor([*query.getlist("include"), *query.getlist("include[]")], "include")


def read_metadata_pairs(query: QueryParams) -> tuple[tuple[str, str], ...]:
    """The pairs that metadata must have; at most as many as it can have."""
    found = [(match[1], value) for name, value in query.multi_items() if (match := _METADATA.fullmatch(name))]
    if len(found) > MAX_METADATA:
        raise ArrayTooLong("metadata", MAX_METADATA, len(found))
    read_metadata(Cursor(dict(found), "metadata"))
    return tuple(found)
