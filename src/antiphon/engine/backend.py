"""What the engine's loop asks of an inference library: run slices of sequences, copy a page.

A backend owns the KV cache as numbered pages of `page_tokens` tokens and knows nothing of requests,
sampling or scheduling. It is synchronous and is called from one thread.

Slices of one step may belong to one sequence, in order of their positions: what one computes, those
behind it read.

Invariant: the logits of a slice depend only on that sequence's tokens and on which of them were
computed by slices of one token (decode) or of several (prefill), never on its batch mates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Slice:
    """Tokens of one sequence to run in a step: those at positions start, start + 1, …"""

    tokens: Sequence[int]
    start: int
    """How many tokens of the sequence have their KV in `pages` already."""
    pages: Sequence[int]
    """Page numbers that hold positions 0 … start + len(tokens) - 1, in order."""
    rows: int
    """Behind how many of its last tokens the logits are needed."""


class Backend(Protocol):
    """An inference library behind the loop."""

    @property
    def vocab_size(self) -> int:
        """Width of a row of logits."""
        ...

    @property
    def page_tokens(self) -> int:
        """Tokens a page holds."""
        ...

    @property
    def page_count(self) -> int:
        """Pages in the KV cache, numbered from 0."""
        ...

    @property
    def least_tokens(self) -> int:
        """A step of fewer tokens takes as long as one of so many."""
        ...

    @property
    def fingerprint(self) -> str:
        """Names everything in the library and its settings that the logits depend on."""
        ...

    def forward(self, slices: Sequence[Slice]) -> Logits:
        """Run one step.

        Returns: as many rows of `vocab_size` logits as the slices want, in order; valid until the
        next call.
        """
        ...

    def copy_page(self, source: int, target: int) -> None:
        """Copy the KV of a page onto another, for all layers."""
        ...
