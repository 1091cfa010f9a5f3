"""The only doors between parts that otherwise do not know each other.

Every port has one contract suite in `tests/contract`, run against each implementation.
All async members run on the API process's event loop and never block it.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from antiphon.core.generation import (
    Constraint,
    EngineEvent,
    EngineStats,
    GenerationRequest,
    ModelInfo,
)
from antiphon.core.messages import Message


class Generation(Protocol):
    """A request in the engine's hands: iterate it for events, close it to cancel.

    Iteration raises `EngineFailed` when the engine dies or fails on this request, and ends after
    the last choice's `ChoiceEnd`. Always use it under `contextlib.aclosing`.
    """

    def __aiter__(self) -> AsyncIterator[EngineEvent]: ...

    def stop(self, choice: int) -> None:
        """Generate no more for this choice; no event of it follows. Idempotent, returns at once."""
        ...

    async def aclose(self) -> None:
        """Cancel whatever still runs and free its memory within two engine steps. Idempotent."""
        ...


class Engine(Protocol):
    """Tokens in, tokens out."""

    @property
    def info(self) -> ModelInfo:
        """Facts of the loaded model; available after `start` returned."""
        ...

    async def start(self) -> None:
        """Load the model and be ready to generate.

        Raises:
            EngineUnavailable: it could not be loaded.
        """
        ...

    def generate(self, request: GenerationRequest) -> Generation:
        """Queue a request. Returns at once.

        Raises:
            EngineUnavailable: the engine is starting or down.
            Overloaded: its queue is full.
        """
        ...

    async def check(self, constraint: Constraint) -> None:
        """Prove that a constraint compiles, within a bound of time and memory.

        Raises:
            SchemaRefused: it does not, with an empty `name`.
            EngineUnavailable: the engine is starting or down.
        """
        ...

    def stats(self) -> EngineStats:
        """The newest snapshot; cheap, never blocks."""
        ...

    async def aclose(self) -> None:
        """Stop. Running generations raise `EngineFailed`. Idempotent."""
        ...


class Tokenizer(Protocol):
    """Text to ids and back. Stateless and safe to call from any thread."""

    @property
    def special_tokens(self) -> dict[str, int]:
        """Texts that templates write to mean one control token."""
        ...

    def encode_plain(self, text: str) -> list[int]:
        """Tokenize text in which nothing is special, however it looks. Adds no token of its own."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The exact bytes a token stands for; empty for control tokens.

        Concatenating the bytes of generated tokens gives the UTF-8 of the generated text.
        """
        ...


class ChatTemplate(Protocol):
    """The model's own way of writing a conversation down."""

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt text, special tokens spelled out, ready for the assistant's turn.

        Raises:
            InvalidValue: the template refuses this conversation.
        """
        ...
