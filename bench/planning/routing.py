"""Ways to choose a replica for a prompt: those that a proxy can follow, and Antiphon's own.

The last is the rule of `antiphon.engine.backends.ray`, not a copy of it.
"""

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Final

from antiphon.engine.backends.ray.affinity import PrefixAffinity

Choose = Callable[[Sequence[bytes], int, Mapping[str, int]], str]
"""Takes the names of the prompt's pages, the session's number, and how many requests each replica has."""


def random_choice() -> Choose:
    """Any."""
    chance = Random(0)
    return lambda names, session, loads: chance.choice(list(loads))


def round_robin() -> Choose:
    """One after the other."""
    turns = itertools.count()
    return lambda names, session, loads: list(loads)[next(turns) % len(loads)]


def least_loaded() -> Choose:
    """The one with the fewest requests in hand, the first of equals at random."""
    chance = Random(0)
    return lambda names, session, loads: min(loads, key=lambda replica: (loads[replica], chance.random()))


def session_hash() -> Choose:
    """Always the same for a conversation, as a proxy with sticky sessions has it."""
    return lambda names, session, loads: _at(session.to_bytes(8, "little"), loads)


def prefix_hash() -> Choose:
    """Always the same for a beginning of four pages."""
    return lambda names, session, loads: _at(names[min(len(names), 4) - 1] if names else b"", loads)


def prefix_with_bounded_load() -> Choose:
    """Antiphon's."""
    affinity = PrefixAffinity()

    def choose(names: Sequence[bytes], session: int, loads: Mapping[str, int]) -> str:
        replica = affinity.rank(names, loads)[0]
        affinity.record(names, replica)
        return replica

    return choose


def _at(key: bytes, loads: Mapping[str, int]) -> str:
    place = int.from_bytes(hashlib.sha256(key).digest()[:8], "little")
    return list(loads)[place % len(loads)]


OURS: Final = "prefix, bounded load"
POLICIES: Final[Mapping[str, Callable[[], Choose]]] = MappingProxyType(
    {
        "random": random_choice,
        "round robin": round_robin,
        "least loaded": least_loaded,
        "session hash": session_hash,
        "prefix hash": prefix_hash,
        OURS: prefix_with_bounded_load,
    }
)
