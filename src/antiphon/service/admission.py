"""How much work the server takes on at once: choices and prompt tokens, running and queued together.

A request is refused here, before anything expensive was done for it, instead of waiting in a
queue without end. Choices are reserved first (that costs nothing), prompt tokens once they are
counted. No fairness between keys and no rate limits: those are other parts.

Invariant: what is reserved never exceeds the limits, except by one request on an otherwise idle
server (a request larger than a limit must not be refused for ever), and returns to zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from antiphon.core.errors import Overloaded


@dataclass(frozen=True, slots=True)
class AdmissionOptions:
    """Limits on the work in hand, running and queued together."""

    max_choices: int = 256
    """A request counts once per choice."""
    max_prompt_tokens: int = 1_000_000
    """The choices of a request share its prompt, which counts once."""
    retry_after_s: float = 1.0
    """What a refused client is told to wait, in seconds."""


class Admission:
    """The account of the work in hand. Used from one event loop."""

    def __init__(self, options: AdmissionOptions = AdmissionOptions()) -> None:
        """Start with nothing in hand."""
        self._options = options
        self.choices = 0
        self.prompt_tokens = 0

    def admit(self, choices: int) -> "Lease":
        """Reserve room for a request with this many choices.

        Raises:
            Overloaded: there is no room.
        """
        if self.choices > 0 and self.choices + choices > self._options.max_choices:
            raise Overloaded(self._options.retry_after_s)
        self.choices += choices
        return Lease(self, choices)

    def _reserve_prompt(self, tokens: int) -> None:
        if self.prompt_tokens > 0 and self.prompt_tokens + tokens > self._options.max_prompt_tokens:
            raise Overloaded(self._options.retry_after_s)
        self.prompt_tokens += tokens

    def _give_back(self, choices: int, prompt_tokens: int) -> None:
        self.choices -= choices
        self.prompt_tokens -= prompt_tokens


class Lease:
    """One request's reservation; `release` it, or use it as a context manager."""

    def __init__(self, admission: Admission, choices: int) -> None:
        """Made by `Admission.admit` only."""
        self._admission = admission
        self._choices = choices
        self._prompt_tokens = 0
        self._released = False

    def add_prompt(self, tokens: int) -> None:
        """Reserve room for the prompt, once its length in tokens is known.

        Raises:
            Overloaded: there is no room.
        """
        self._admission._reserve_prompt(tokens)
        self._prompt_tokens += tokens

    def split(self, prompts: Sequence[int]) -> list["Lease"]:
        """One lease per prompt, of so many tokens and an equal share of the choices; this one is spent."""
        parts = [Lease(self._admission, self._choices // len(prompts)) for _ in prompts]
        for part, tokens in zip(parts, prompts, strict=True):
            part._prompt_tokens = tokens
        self._released = True
        return parts

    def release(self) -> None:
        """Give everything back. Only the first call has an effect."""
        if not self._released:
            self._released = True
            self._admission._give_back(self._choices, self._prompt_tokens)

    def __enter__(self) -> "Lease":
        """Hold until the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release, whatever happened."""
        self.release()
