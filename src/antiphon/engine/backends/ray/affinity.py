"""Which replica to send a prompt to: one that holds its beginning, unless others are far less busy.

Pure: it remembers what it was told and decides; it sends nothing and has no clock.

Invariant: a replica's lead in work over the least busy one, when chosen for its cache, is at most `slack`.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence


class PrefixAffinity:
    """Remembers which replica was last given which page of which prefix.

    Pages are named as the engine names them (`engine.pages.prefix_names`): a page's name tells
    everything before it too, and the salt of its project and cache key.
    """

    def __init__(self, slack: int = 4, capacity: int = 100_000) -> None:
        """Follow the cache up to `slack` requests more than the least busy has; keep `capacity` names."""
        self._slack = slack
        self._capacity = capacity
        self._holders: OrderedDict[bytes, str] = OrderedDict()

    def rank(self, names: Sequence[bytes], loads: Mapping[str, int]) -> list[str]:
        """The replicas, best first. `loads` is how many requests each has in hand."""
        least = min(loads.values(), default=0)
        holder = self._holder(names, loads)
        if holder is not None and loads[holder] > least + self._slack:
            holder = None
        seed = names[0] if names else b""
        return sorted(loads, key=lambda replica: (replica != holder, loads[replica], _score(seed, replica)))

    def record(self, names: Sequence[bytes], replica: str) -> None:
        """The replica was given a prompt with these pages."""
        for name in reversed(names):  # the last one used is the first page, which outlives the others
            self._holders[name] = replica
            self._holders.move_to_end(name)
        while len(self._holders) > self._capacity:
            self._holders.popitem(last=False)

    def _holder(self, names: Sequence[bytes], loads: Mapping[str, int]) -> str | None:
        """The replica that holds the longest beginning, of those there are."""
        holders = (self._holders.get(name) for name in reversed(names))
        return next((holder for holder in holders if holder in loads), None)


def _score(seed: bytes, replica: str) -> bytes:
    """An order of replicas that differs from prefix to prefix but is the same in every process."""
    return hashlib.sha256(seed + replica.encode()).digest()
