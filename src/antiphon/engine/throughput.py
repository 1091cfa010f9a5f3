"""How fast a total grows: tokens per second over the last seconds.

It has no clock; whoever reports the total says when it was read.

Invariant: the figure is a mean over the window, or over what there is of it, and falls to 0 when
the total stands still for a reading longer than that.
"""

from collections import deque

_WINDOW_S = 10.0
_APART_S = 0.25
"""Readings closer together than this are not kept, so that their number is bounded."""


class Throughput:
    """Readings of one total."""

    def __init__(self, now: float, total: int = 0) -> None:
        """Start at a total that was not made in the window."""
        self._readings = deque([(now, total)])

    def per_second(self, now: float, total: int) -> float:
        """Take a reading at `now` seconds; the mean growth since the window began."""
        readings = self._readings
        while len(readings) > 1 and readings[1][0] <= now - _WINDOW_S:
            readings.popleft()
        began, before = readings[0]
        if now - readings[-1][0] >= _APART_S:
            readings.append((now, total))
        return (total - before) / (now - began) if now > began else 0.0
