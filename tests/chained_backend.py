"""A backend without a model whose logits betray every mistake in pages, positions or chunking.

The KV of a position is a hash of the position before it (read from the page where it should be), the
token, and whether it was computed alone (decode) or among others (prefill). Logits are a function of
the last position's hash. So two runs agree only if each position was computed from the right
predecessor, in the right page, by the same kind of slice.
"""

from collections.abc import Sequence

import numpy as np

from antiphon.engine.backend import Logits, Slice

_PRIME = (1 << 61) - 1


class ChainedBackend:
    """Implements `engine.backend.Backend` over a small vocabulary."""

    def __init__(self, page_count: int = 64, page_tokens: int = 4, vocab_size: int = 32) -> None:
        self.page_count = page_count
        self.page_tokens = page_tokens
        self.vocab_size = vocab_size
        self.fingerprint = "chained"
        self.least_tokens = 1
        self.steps = 0
        self.largest_step = 0
        self.most_rows = 0
        self._kv = np.zeros((page_count, page_tokens), np.int64)

    def forward(self, slices: Sequence[Slice]) -> Logits:
        """Run one step; see `Backend.forward`."""
        self.steps += 1
        self.largest_step = max(self.largest_step, sum(len(s.tokens) for s in slices))
        wanted = [row for piece in slices for row in self._run(piece)]
        self.most_rows = max(self.most_rows, len(wanted))
        return np.array(wanted, np.float32).reshape(len(wanted), self.vocab_size)

    def copy_page(self, source: int, target: int) -> None:
        """Copy a page."""
        self._kv[target] = self._kv[source]

    def _run(self, piece: Slice) -> list[Logits]:
        rows: list[Logits] = []
        kernel = 1 if len(piece.tokens) == 1 else 2
        previous = 0 if piece.start == 0 else self._read(piece, piece.start - 1)
        for offset, token in enumerate(piece.tokens):
            position = piece.start + offset
            previous = (previous * 1_000_003 + token * 7 + kernel * 13 + position) % _PRIME
            page, row = divmod(position, self.page_tokens)
            self._kv[piece.pages[page], row] = previous
            if offset >= len(piece.tokens) - piece.rows:
                logits = np.random.default_rng(previous).normal(0, 3, self.vocab_size)
                rows.append(logits.astype(np.float32))
        return rows

    def _read(self, piece: Slice, position: int) -> int:
        page, row = divmod(position, self.page_tokens)
        return int(self._kv[piece.pages[page], row])
