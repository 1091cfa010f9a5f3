"""Divides a step into parts whose number of tokens a library computes alike.

A matrix product may run different kernels for one row, for some and for many, which add up in
another order: the same token then gets other bits. Parts within the range of one kernel, run one
after the other, do not.

Invariant: parts hold every token once, in order; a slice of several tokens is never cut into one of
a single token, which would run another attention kernel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from antiphon.engine.backend import Slice


@dataclass(frozen=True, slots=True)
class RowRange:
    """How many rows a matrix product may have for the same row to come out bit for bit equal."""

    least: int = 1
    most: int = 1 << 31


def divide(slices: Sequence[Slice], most: int, page_tokens: int) -> Iterator[list[Slice]]:
    """Parts of at most `most` tokens, at least 3; the rows that a slice wants stay with their tokens."""
    part: list[Slice] = []
    room = most
    for piece in slices:
        while len(piece.tokens) > room:
            taken = _taken(len(piece.tokens), room)
            if taken:
                head, piece = _cut(piece, taken, page_tokens)
                part.append(head)
            yield part
            part, room = [], most
        part.append(piece)
        room -= len(piece.tokens)
    if part:
        yield part


def _taken(tokens: int, room: int) -> int:
    """How many of a slice's tokens to take into `room`: neither one, nor all but one."""
    taken = room - 1 if tokens - room == 1 else room
    return taken if taken > 1 else 0


def _cut(piece: Slice, tokens: int, page_tokens: int) -> tuple[Slice, Slice]:
    middle = piece.start + tokens
    pages = -(-middle // page_tokens)
    rest = len(piece.tokens) - tokens
    head = Slice(piece.tokens[:tokens], piece.start, piece.pages[:pages], max(0, piece.rows - rest))
    return head, Slice(piece.tokens[tokens:], middle, piece.pages, min(piece.rows, rest))
