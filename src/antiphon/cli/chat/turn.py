"""One answer as it arrives: its text, why it ended, what it took.

Invariant: what is shown on a terminal holds no control characters, whatever the model wrote.
"""

import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from antiphon.cli.client import Endpoint

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(slots=True)
class Turn:
    """An answer so far."""

    began: float = field(default_factory=time.monotonic)
    first_at: float | None = None
    ended: float | None = None
    text: str = ""
    finish_reason: str | None = None
    model: str = ""
    usage: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> str:
        """What it took, in one line: tokens, speed, time to the first."""
        tokens = self.usage.get("completion_tokens")
        if not isinstance(tokens, int) or self.first_at is None or self.ended is None:
            return ""
        parts = [f"{tokens} tokens"]
        if tokens > 1 and self.ended > self.first_at:
            parts.append(f"{(tokens - 1) / (self.ended - self.first_at):.1f} tokens/s")
        parts.append(f"first after {self.first_at - self.began:.2f} s")
        if self.finish_reason == "length":
            parts.append("cut at the limit of tokens")
        return ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "content": self.text,
            "finish_reason": self.finish_reason,
            "model": self.model,
            "usage": self.usage,
        }


def run_turn(endpoint: Endpoint, body: dict[str, Any], turn: Turn, show: Callable[[str], None]) -> None:
    """Stream an answer into `turn`, showing each piece. Interrupted, `turn` holds what had come.

    Raises:
        ApiError: it failed.
    """
    with closing(endpoint.stream(body)) as chunks:
        for chunk in chunks:
            turn.model = str(chunk.get("model", turn.model))
            turn.usage = chunk.get("usage") or turn.usage
            for choice in chunk.get("choices") or ():
                turn.finish_reason = choice.get("finish_reason") or turn.finish_reason
                piece = (choice.get("delta") or {}).get("content") or ""
                if piece:
                    turn.first_at = turn.first_at or time.monotonic()
                    turn.text += piece
                    show(piece)
    turn.ended = time.monotonic()


def harmless(text: str) -> str:
    """Text that leaves a terminal as it is."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
