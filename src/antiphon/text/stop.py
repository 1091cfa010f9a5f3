"""Stop strings: find the first one in a stream of bytes, and let nothing of it through.

All stop strings are matched at once by an Aho-Corasick automaton, so each byte is looked at once
however long the answer or the stop strings are. Its state is the longest tail of the text that
begins some stop string: exactly what must be held back, and no byte more.

The match that is complete first wins (the earliest end, not the earliest start): a stream can
then end the moment it is seen. Of those that end together the longest wins, so that no part of a
stop string is let through before another one.

Matching bytes, not characters, gives the same matches (in UTF-8 no character begins inside
another) and lets the caller tell to the byte which tokens were cut off.
Source: Aho and Corasick, "Efficient string matching", CACM 18(6), 1975.

Invariant: for any split of the same bytes the same bytes come through and the same match is found.
"""

from collections import deque
from collections.abc import Sequence


class StopStrings:
    """The automaton of a set of stop strings. Immutable; shared by all choices of a request."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Compile; empty strings are ignored. Time and space are linear in the total length."""
        self.edges: list[dict[int, int]] = [{}]
        """Per state: the state that each byte leads to. State 0 is the root."""
        self.depth = [0]
        """Per state: how many bytes of a stop string it stands for."""
        self.matched = [0]
        """Per state: the length of the longest stop string that ends here, or 0."""
        for stop in stops:
            self._add(stop.encode())
        self.fallback = [0] * len(self.edges)
        """Per state: the state of its longest proper tail that also begins a stop string."""
        self._link()

    def __bool__(self) -> bool:
        """False when there is nothing to look for."""
        return len(self.edges) > 1

    def step(self, state: int, byte: int) -> int:
        """The state after one more byte."""
        while byte not in self.edges[state] and state:
            state = self.fallback[state]
        return self.edges[state].get(byte, 0)

    def _add(self, stop: bytes) -> None:
        state = 0
        for byte in stop:
            if byte not in self.edges[state]:
                self.edges[state][byte] = len(self.edges)
                self.edges.append({})
                self.depth.append(self.depth[state] + 1)
                self.matched.append(0)
            state = self.edges[state][byte]
        self.matched[state] = len(stop)

    def _link(self) -> None:
        """Set the fallbacks level by level: each one leads to a shorter text, which is done already."""
        queue = deque(self.edges[0].values())
        while queue:
            state = queue.popleft()
            tail = self.fallback[state]
            self.matched[state] = self.matched[state] or self.matched[tail]
            for byte, child in self.edges[state].items():
                self.fallback[child] = self.step(tail, byte)
                queue.append(child)


class StopMatcher:
    """Watches the bytes of one choice for stop strings."""

    def __init__(self, stops: StopStrings) -> None:
        """Start at the beginning of the text."""
        self._stops = stops
        self._state = 0
        self._held = b""
        self.match = b""
        """The stop string that was found."""

    @property
    def held(self) -> int:
        """How many bytes are held back because a stop string may begin there."""
        return len(self._held)

    def push(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes that are safe to deliver now, and whether a stop string is complete.

        After a match nothing is held back any more, and nothing may be pushed.
        """
        state, stops = self._state, self._stops
        known = len(self._held)
        data = self._held + data
        for end in range(known + 1, len(data) + 1):
            state = stops.step(state, data[end - 1])
            if stops.matched[state]:
                start = end - stops.matched[state]
                self._held, self.match = b"", data[start:end]
                return data[:start], True
        safe = len(data) - stops.depth[state]
        self._state, self._held = state, data[safe:]
        return data[:safe], False

    def flush(self) -> bytes:
        """What was held back, now that the text has ended without a match."""
        held, self._held, self._state = self._held, b"", 0
        return held
