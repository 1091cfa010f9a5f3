"""Which known pages begin like a page that is about to be computed.

Prompts that share their first tokens, as chats share a system prompt, seldom part at the border of a
page. The KV of a page that begins alike can be copied, and only the rest be computed. This module
remembers the tokens of pages by the name of the page before them; it holds no page and moves no KV.

Invariant: bounded, and it speaks only of pages after the same prefix, under the same salt.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from operator import eq

_MAX_PREFIXES = 1024
_MAX_FOLLOWERS = 8
"""Of one prefix. Chats with one system prompt all begin alike, so that a few of them are enough."""


@dataclass(frozen=True, slots=True)
class Follower:
    """A page that follows some prefix."""

    name: bytes
    tokens: tuple[int, ...]

    def alike(self, tokens: Sequence[int]) -> int:
        """How many of these it begins with."""
        return sum(1 for _ in takewhile(bool, map(eq, self.tokens, tokens)))


@dataclass(slots=True)
class PageBeginnings:
    """The newest pages after each prefix, the prefixes least recently used forgotten first."""

    _followers: OrderedDict[bytes, deque[Follower]] = field(default_factory=OrderedDict)

    def note(self, prefix: bytes, follower: Follower) -> None:
        """A page was computed after the prefix of this name."""
        followers = self._followers.setdefault(prefix, deque(maxlen=_MAX_FOLLOWERS))
        self._followers.move_to_end(prefix)
        if follower not in followers:
            followers.append(follower)
        if len(self._followers) > _MAX_PREFIXES:
            self._followers.popitem(last=False)

    def after(self, prefix: bytes, tokens: Sequence[int]) -> list[tuple[int, bytes]]:
        """Pages after this prefix and how many of `tokens` each begins with, the best first.

        They may be gone by now.
        """
        followers = self._followers.get(prefix, ())
        return sorted(((f.alike(tokens), f.name) for f in followers), reverse=True)
