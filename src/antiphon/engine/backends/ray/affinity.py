"""Which replica to send a prompt to: the one where what waits and what must be computed again is the least.

A replica's price is its requests in hand, as a multiple of what the replicas have on average, and a fifth
more for each page of the prompt that another replica holds and this one does not: computing five pages
takes about as long as one more request delays the others. The constants are those that did best in
`bench.planning` from 2 to 1,000 replicas; docs/concepts/planning.md shows what they come to.

Pure: it remembers what it was told and decides; it sends nothing and has no clock.

Invariant: what the replica chosen has in hand beyond the least busy one is at most `most_worth` times the
average, or `most_worth` requests where the average is below one.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

_MOST_HOLDERS: Final = 8
"""Replicas remembered for a page, those given it last: popular beginnings spread over several."""


class PrefixAffinity:
    """Remembers which replicas were last given which page of which prefix.

    Pages are named as the engine names them (`engine.pages.prefix_names`): a page's name tells
    everything before it too, and the salt of its project and cache key.
    """

    def __init__(self, page_worth: float = 0.2, most_worth: float = 3.0, capacity: int = 100_000) -> None:
        """A page held is worth so much load, all of them no more than `most_worth`; keep `capacity` names."""
        self._page_worth = page_worth
        self._most_worth = most_worth
        self._capacity = capacity
        self._holders: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()

    def rank(self, names: Sequence[bytes], loads: Mapping[str, int]) -> list[str]:
        """The replicas, best first. `loads` is how many requests each has in hand."""
        held = self._held(names)
        longest = max((held.get(replica, 0) for replica in loads), default=0)
        average = max(1.0, sum(loads.values()) / max(1, len(loads)))
        seed = names[0] if names else b""

        def price(replica: str) -> float:
            again = self._page_worth * (longest - held.get(replica, 0))
            return loads[replica] / average + min(again, self._most_worth)

        return sorted(loads, key=lambda replica: (price(replica), _score(seed, replica)))

    def record(self, names: Sequence[bytes], replica: str) -> None:
        """The replica was given a prompt with these pages."""
        for name in reversed(names):  # the last one used is the first page, which outlives the others
            others = (holder for holder in self._holders.get(name, ()) if holder != replica)
            self._holders[name] = (replica, *others)[:_MOST_HOLDERS]
            self._holders.move_to_end(name)
        while len(self._holders) > self._capacity:
            self._holders.popitem(last=False)

    def _held(self, names: Sequence[bytes]) -> dict[str, int]:
        """How many of the pages each replica was given, from the first one on."""
        return {
            replica: count for count, name in enumerate(names, 1) for replica in self._holders.get(name, ())
        }


def _score(seed: bytes, replica: str) -> bytes:
    """An order of replicas that differs from prefix to prefix but is the same in every process."""
    return hashlib.sha256(seed + replica.encode()).digest()
