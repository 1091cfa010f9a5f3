"""One choice: vLLM's tokens in, what the port promises out. A machine without I/O.

Takes ending tokens off, walks the constraint over every token, and ends the choice where its grammar
is complete or its budget is spent, as the engine of a single machine does.

Invariant: no token is let through that the constraint does not allow, whoever generated it; after an
end nothing follows.
"""

from dataclasses import dataclass

from antiphon.core.generation import EndReason, TokenLogprob
from antiphon.engine.backends.vllm.source import Piece, SourceFailed
from antiphon.engine.constraint import ConstraintBroken, Matcher


@dataclass(frozen=True, slots=True)
class Taken:
    """What a piece brought."""

    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...]
    end: EndReason | None


class HeldChoice:
    """The state of one choice."""

    def __init__(self, endings: frozenset[int], max_tokens: int, matcher: Matcher | None = None) -> None:
        """`endings` end it and are not delivered; `matcher` is at the start of its constraint."""
        self._endings = endings
        self._room = max_tokens
        self._matcher = matcher

    def take(self, piece: Piece) -> Taken:
        """What of a piece is delivered, and whether the choice is over.

        Raises:
            SourceFailed: vLLM broke the constraint.
        """
        end: EndReason | None = None if self._room else "length"
        count = 0
        for token in piece.token_ids if self._room else ():
            if token in self._endings:
                self._check_end(token)
                end = "stop"
            else:
                count += 1
                end = self._accept(token)
            if end:
                break
        return Taken(piece.token_ids[:count], piece.logprobs[:count], end or self._ended_early(piece))

    def _accept(self, token: int) -> EndReason | None:
        self._room -= 1
        if self._matcher is not None:
            self._consume(self._matcher, token)
            if self._matcher.finished:
                return "stop"
        return None if self._room else "length"

    def _check_end(self, token: int) -> None:
        """End-of-sequence must be allowed where it stands; a stop token of the caller's may cut anywhere."""
        if self._matcher is not None and token in self._matcher.eos_token_ids:
            self._consume(self._matcher, token)

    def _ended_early(self, piece: Piece) -> EndReason | None:
        """vLLM's own end, where we saw none: its context is full, or it stopped by a rule of its own."""
        if piece.finished == "stop" and self._matcher is not None:
            raise SourceFailed("ended within its constraint")
        return piece.finished

    @staticmethod
    def _consume(matcher: Matcher, token: int) -> None:
        try:
            matcher.consume(token)
        except ConstraintBroken:
            raise SourceFailed("left its constraint") from None
