"""How many tokens of padding a step gets so that it is as large as the one before it.

A step of another size than the last takes the inference library some milliseconds more: it infers every
node's shape anew and prepares its kernels. Where sizes only waver, because a stream ended and another
began, it costs less to compute a few tokens for nothing until it is clear that the smaller size stays.

Invariant: since the size last changed, padding has cost no more than a change costs.
"""


class SteadySize:
    """Remembers the size of the last step."""

    def __init__(self, change_tokens: int, most: int) -> None:
        """A change costs as much as computing `change_tokens`; steps larger than `most` are left alone."""
        self._change_tokens = change_tokens
        self._most = most
        self._size = 0
        self._spent = 0

    def padding(self, tokens: int) -> int:
        """How many to add to a step of so many."""
        if tokens == self._size:
            self._spent = 0
            return 0
        missing = self._size - tokens
        if missing < 0 or self._size > self._most or self._spent + missing > self._change_tokens:
            self._size, self._spent = tokens, 0
            return 0
        self._spent += missing
        return missing
