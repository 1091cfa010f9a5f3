"""Guesses how a sequence goes on from what it contains already: prompt lookup, also called n-gram drafts.

Where the last tokens have occurred before, what followed them then may follow again: quoted text, code
that is edited, repeated keys, names. The model computes a guess beside the token before it, and where it
draws just that, the next token costs no step of its own. It knows no model and no scheduler.

Invariant: a guess changes how many tokens a step brings, never which ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

_ORDERS: Final = (3, 2, 1)
"""By how many of the last tokens a place is recognised, the surest first."""
_GUESS_RATES: Final = MappingProxyType({3: 0.7, 2: 0.5, 1: 0.2})
"""Which share of guesses comes true, before this sequence has shown its own."""
_LEARNING: Final = 0.15
_LENGTHS: Final = (31, 15, 7, 3, 1, 0)
"""How many tokens a guess may have: few, for a step of another size than the one before costs more."""
_LOOK_BACK: Final = 16_384
"""Tokens: 64 KiB to search, some microseconds."""
_ID: Final = np.dtype("<u4")
_DEAR: Final = 0.9
"""Above this price no draft is looked for: hardly any comes true so often."""


@dataclass(frozen=True, slots=True)
class DraftTerms:
    """What drafts are made for in a step."""

    most: int
    """Tokens of a draft."""
    price: float
    """What computing a guess costs beside what a token is worth, from 0 to 1."""
    free: int = 0
    """So many of a draft's tokens cost nothing."""

    @property
    def worthwhile(self) -> bool:
        """Whether to look for any."""
        return self.most > 0 and (self.free > 0 or self.price < _DEAR)


class Drafter:
    """What one sequence contains, and how well guesses from it have done."""

    def __init__(self, tokens: Iterable[int]) -> None:
        """`tokens` are those of the sequence so far."""
        self._data = bytearray(np.fromiter(tokens, _ID).tobytes())
        self._rates = dict(_GUESS_RATES)
        self._order = _ORDERS[-1]
        self._guessed: list[int] = []

    def propose(self, terms: DraftTerms) -> tuple[int, ...]:
        """What may come next: tokens that come true more often than they cost, and free ones."""
        self._guessed = self._look_up(terms.most)
        rate, worth, count = self._rates[self._order], 1.0, 0
        for _ in self._guessed:
            worth *= rate
            if count >= terms.free and worth <= terms.price:
                break
            count += 1
        return tuple(self._guessed[: next(length for length in _LENGTHS if length <= count)])

    def append(self, token: int) -> None:
        """The sequence went on with this one: learn from it whether or not the guess was computed."""
        self._data += int(token).to_bytes(_ID.itemsize, "little")
        if self._guessed:
            came_true = self._guessed.pop(0) == token
            self._rates[self._order] += _LEARNING * (came_true - self._rates[self._order])
            if not came_true:
                self._guessed.clear()

    def _look_up(self, most: int) -> list[int]:
        """What followed the last time that the sequence stood as it stands now."""
        for order in _ORDERS:
            place = self._last_place(order)
            if place >= 0:
                self._order = order
                start = place + order * _ID.itemsize
                found = self._data[start : start + most * _ID.itemsize]
                return [int(token) for token in np.frombuffer(found, _ID)]
        return []

    def _last_place(self, order: int) -> int:
        """Where the last `order` tokens stand for the last time before the end, in bytes; -1: nowhere."""
        size = _ID.itemsize
        if len(self._data) <= order * size:
            return -1
        tail = self._data[-order * size :]
        earliest, end = max(0, len(self._data) - _LOOK_BACK * size), len(self._data) - size
        place = self._data.rfind(tail, earliest, end)
        while place > 0 and place % size:
            place = self._data.rfind(tail, earliest, place + len(tail) - 1)
        return place


def agreed(drafted: Sequence[int], said: Sequence[int]) -> int:
    """How many tokens of a draft were said, from its first one on."""
    for count, (guess, token) in enumerate(zip(drafted, said, strict=False)):
        if guess != token:
            return count
    return min(len(drafted), len(said))
