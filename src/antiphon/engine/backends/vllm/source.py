"""What the vLLM engine's process asks of vLLM, wherever that runs: tokens of one choice after a prompt.

Invariant: a source masks, counts and ends nothing by itself; what comes of its tokens is decided by
`choice`, alike for a vLLM in this process and for one behind a URL.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from antiphon.core.generation import Constraint, EngineFeature, TokenLogprob


class SourceUnfit(Exception):
    """It cannot be used; the text says why, and what to do, for the operator's log."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        """`passing`: it may be found fit later, as it is."""
        super().__init__(reason)
        self.passing = passing


class SourceBusy(Exception):
    """It takes no choice now: there is no room, or nobody answers."""


class SourceFailed(Exception):
    """A choice cannot go on; others may."""


class SourceRefused(SourceFailed):
    """It does not do what was asked, and never will."""


class SourceGone(Exception):
    """Nothing can go on: this process has to be replaced."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One choice of a request, in vLLM's terms."""

    id: str
    prompt: tuple[int, ...]
    sampling: dict[str, Any]
    """See `sampling.sampling_of`."""
    constraint: Constraint | None = None
    cache_salt: str = ""
    priority: int = 0
    """As in `GenerationRequest`; higher is earlier."""
    prompt_logprobs: int | None = None
    """As in `GenerationRequest`; of one choice of a request only."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens of a choice as vLLM gives them: the one that ended it included."""

    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()
    """Empty, or one for each token."""
    finished: Literal["stop", "length"] | None = None
    cached_tokens: int = 0
    prompt_scores: tuple[TokenLogprob, ...] = ()
    """Of the whole prompt, with the first piece, where they were asked for."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a source knows of itself once it is open."""

    context_length: int
    depends_on: str
    """Names everything, but the model's weights, that the answers depend on."""
    lacks: tuple[EngineFeature, ...] = field(default=())


class TokenSource(Protocol):
    """A vLLM that runs."""

    async def open(self) -> SourceFacts:
        """Start or find it.

        Raises:
            SourceUnfit: it cannot be had.
            Exception: whatever vLLM raises while it starts.
        """
        ...

    async def refusal(self, constraint: Constraint) -> str | None:
        """Why it does not hold a constraint, in words for clients; None where it does.

        Raises:
            SourceBusy: that cannot be found out now.
            SourceFailed: nor by asking again.
            SourceGone: never.
        """
        ...

    def pieces(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Generate one choice; closing cancels it.

        Raises:
            SourceBusy: no room now.
            SourceFailed: it cannot go on.
            SourceGone: nothing can.
        """
        ...

    async def healthy(self) -> bool:
        """Whether a choice asked for now would be answered.

        Raises:
            SourceGone: it never will be.
        """
        ...

    async def aclose(self) -> None:
        """Stop, or let go of it."""
        ...
