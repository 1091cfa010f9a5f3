"""The way to the nearest end of a text that is held to a constraint, for choices that run out of tokens.

Knows, from where the text is, some tokens that end it, and lets whoever draws have another token only
where an end is still within reach behind it. The way is found by writing on a copy of the matcher:
what closes a text, a string, an object or an array is taken as soon as it may be, else anything. So the
ways are short, but not the shortest there are.

Invariant: what is answered depends only on the tokens so far and on how many are left; with a known
way that fits, the text ends in time.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from antiphon.engine.constraint import ConstraintBroken, Matcher

_WATCHED: Final = 256
"""Tokens before the last from which on it is looked for."""
_MASKS: Final = 64
"""Of a search, at some 0.1 ms; what is forced takes none."""
_PAUSE: Final = 32
"""Tokens until the next search, where one has found nothing."""
_DIVERSIONS: Final = 4
"""So many tokens of a way one other token may stand for."""


def nearest_end(closing: Sequence[int]) -> Callable[[NDArray[np.intp]], int]:
    """A choice among allowed tokens, ascending: the first of `closing` that may be, else any."""
    other = anything()

    def choose(allowed: NDArray[np.intp]) -> int:
        for token in closing:
            place = int(np.searchsorted(allowed, token))
            if place < len(allowed) and allowed[place] == token:
                return token
        return other(allowed)

    return choose


def anything() -> Callable[[NDArray[np.intp]], int]:
    """A choice among allowed tokens by chance, the same each time."""
    chance = Random(0)
    return lambda allowed: int(allowed[chance.randrange(len(allowed))])


class WayOut:
    """The way from where one choice is."""

    def __init__(self, matcher: Matcher) -> None:
        """`matcher` is the choice's own; only copies of it are written on."""
        self._matcher = matcher
        self._way: list[int] | None = None
        self._search_at = _WATCHED
        """So many tokens have to be left, or fewer, for a search."""

    def fitting(self, token: int, left: int) -> int:
        """The token, if an end is within `left` tokens, this one included; else the first of the known way.

        Where no way is known or all that follows is certain it is the token. An end-of-sequence token
        counts as one.

        Raises:
            ConstraintBroken: as `Matcher.allowed`.
        """
        if left > _WATCHED or token in self._matcher.eos_token_ids or len(self._matcher.allowed()) == 1:
            return token
        if self._way is None:
            self._way = self._searched(self._matcher.copy(), left)
        if self._way is None:
            return token
        behind = self._behind(token, self._way, left - 1)
        if behind is None:
            return self._way[0]
        self._way = [token, *behind]
        return token

    def took(self, token: int) -> None:
        """The text has gone on by this token."""
        self._way = self._way[1:] if self._way and self._way[0] == token else None

    def _behind(self, token: int, way: list[int], left: int) -> list[int] | None:
        """How it can end behind a token that is not necessarily the way's."""
        for rest in (way[start:] for start in range(min(_DIVERSIONS, len(way)))):
            if len(rest) <= left and self._ends([token, *rest]):
                return rest
        tried = self._matcher.copy()
        try:
            tried.consume(token)
        except ConstraintBroken:
            return None
        return _search(tried, left)

    def _ends(self, way: list[int]) -> bool:
        """Whether the text may go on like this, and end there: what ends a string may also stand in one."""
        eos = self._matcher.eos_token_ids
        return self._matcher.takes(way if way[-1] in eos else [*way, eos[0]])

    def _searched(self, matcher: Matcher, left: int) -> list[int] | None:
        """A search that is not repeated at once where it finds nothing."""
        if left > self._search_at:
            return None
        way = _search(matcher, left)
        if way is None:
            self._search_at = left - _PAUSE
        return way


def _search(matcher: Matcher, left: int) -> list[int] | None:
    """At most `left` tokens that end the text, or None. `matcher` is used up."""
    choose, way = nearest_end(matcher.closing_tokens), list[int]()
    try:
        for _ in range(_MASKS):
            for token in matcher.forced() or [_pick(matcher, choose)]:
                way.append(token)
                if token in matcher.eos_token_ids or len(way) > left:
                    return way if len(way) <= left else None
                matcher.consume(token)
            if matcher.finished:
                return way
    except ConstraintBroken:
        return None
    return None


def _pick(matcher: Matcher, choose: Callable[[NDArray[np.intp]], int]) -> int:
    """A token that may follow.

    Raises:
        ConstraintBroken: there is none.
    """
    while True:
        token = choose(matcher.allowed())
        if token in matcher.eos_token_ids or matcher.may_follow(token):
            return token
