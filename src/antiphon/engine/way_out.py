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
from antiphon.engine.sequence import SequenceState

_WATCHED: Final = 256
"""Tokens before the last from which on it is looked for."""
_MASKS: Final = 64
"""Of a search, at some 0.1 ms; what is forced takes none."""
_MASKS_EACH: Final = 4
"""That a token of the text gives searches to spend: they hold up everybody's step."""
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


def anything(seed: int = 0) -> Callable[[NDArray[np.intp]], int]:
    """A choice among allowed tokens by chance, the same each time for the same seed."""
    chance = Random(seed)
    return lambda allowed: int(allowed[chance.randrange(len(allowed))])


class WayOut:
    """The way from where one choice is."""

    def __init__(self, matcher: Matcher) -> None:
        """`matcher` is the choice's own; only copies of it are written on."""
        self._matcher = matcher
        self._way: list[int] | None = None
        self._credit = _MASKS

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
            # One that was spelled otherwise than expected is lost: finding it again may cost extra.
            self._way = self._search(self._matcher.copy(), left, least=-_MASKS)
        if self._way is None:
            return token
        rest = self._known_behind(token, self._way, left - 1)
        if rest is None and self._credit <= 0 and left > 2 * len(self._way) + _MASKS:
            # There is room to search later.
            self._way = None
            return token
        if rest is None:
            rest = self._search_behind(token, left - 1)
        if rest is None:
            return self._way[0]
        self._way = [token, *rest]
        return token

    def took(self, token: int) -> None:
        """The text has gone on by this token."""
        self._way = self._way[1:] if self._way and self._way[0] == token else None
        self._credit = min(self._credit + _MASKS_EACH, _MASKS)

    def _known_behind(self, token: int, way: list[int], left: int) -> list[int] | None:
        """What of the way ends the text behind a token that is not necessarily the way's."""
        for rest in (way[start:] for start in range(min(_DIVERSIONS, len(way)))):
            if len(rest) <= left and self._ends([token, *rest]):
                return rest
        return None

    def _ends(self, way: list[int]) -> bool:
        """Whether the text may go on like this, and end there: what ends a string may also stand in one."""
        eos = self._matcher.eos_token_ids
        return self._matcher.takes(way if way[-1] in eos else [*way, eos[0]])

    def _search_behind(self, token: int, left: int) -> list[int] | None:
        tried = self._matcher.copy()
        try:
            tried.consume(token)
        except ConstraintBroken:
            return None
        return self._search(tried, left)

    def _search(self, matcher: Matcher, left: int, least: int = 0) -> list[int] | None:
        """A way, if there is one and more credit than `least`."""
        if self._credit <= least:
            return None
        way, masks = search(matcher, left)
        self._credit -= masks
        return way


class WaysOut:
    """Those of the choices that asked for one."""

    def __init__(self) -> None:
        """There are none yet."""
        self._ways: dict[SequenceState, WayOut] = {}

    def begin(self, sequence: SequenceState, matcher: Matcher) -> None:
        """Know of one that asks."""
        self._ways[sequence] = WayOut(matcher)

    def fitting(self, sequence: SequenceState, token: int) -> int:
        """The token that was drawn, or one that is nearer to an end; raises as `WayOut.fitting`."""
        spec, way = sequence.request.spec, self._ways.get(sequence)
        if way is None or sequence.generated < spec.min_tokens:
            return token
        return way.fitting(token, spec.max_tokens - sequence.generated)

    def took(self, sequence: SequenceState, token: int) -> None:
        """The choice has gone on by this token."""
        if sequence in self._ways:
            self._ways[sequence].took(token)

    def forget(self, sequence: SequenceState) -> None:
        """It is over, whether it had asked or not."""
        self._ways.pop(sequence, None)


def search(matcher: Matcher, left: int) -> tuple[list[int] | None, int]:
    """At most `left` tokens that end the text, or None, and how many masks that took.

    `matcher` is used up.
    """
    choose, way, masks = nearest_end(matcher.closing_tokens), list[int](), 0
    try:
        while masks < _MASKS and not matcher.finished:
            forced = matcher.forced()
            masks += not forced
            for token in forced or [_pick(matcher, choose)]:
                way.append(token)
                if token in matcher.eos_token_ids or len(way) > left:
                    return (way if len(way) <= left else None), masks
                matcher.consume(token)
    except ConstraintBroken:
        return None, masks
    return (way if matcher.finished else None), masks


def _pick(matcher: Matcher, choose: Callable[[NDArray[np.intp]], int]) -> int:
    """A token that may follow.

    Raises:
        ConstraintBroken: there is none.
    """
    while True:
        token = choose(matcher.allowed())
        if token in matcher.eos_token_ids or matcher.may_follow(token):
            return token
