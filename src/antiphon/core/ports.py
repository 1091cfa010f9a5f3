"""The only doors between parts that otherwise do not know each other.

Every port has one contract suite in `tests/contract`, run against each implementation.
All async members run on the API process's event loop and never block it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from antiphon.core.generation import (
    Constraint,
    EngineEvent,
    EngineStats,
    GenerationRequest,
    ModelInfo,
)
from antiphon.core.messages import FunctionTool, Message
from antiphon.core.stored import StoredCompletion, StoredPage, StoredQuery


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

    @property
    def swallowing_tokens(self) -> frozenset[str]:
        """Those of them that take the white space behind them away; often none."""
        ...

    @property
    def start_tokens(self) -> tuple[int, ...]:
        """What the model's makers put before every text that no template writes; often nothing."""
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

    @property
    def reasoning_tags(self) -> tuple[str, str] | None:
        """What opens and closes the block in which the model thinks; None: it does not think."""
        ...

    @property
    def call_syntax(self) -> str:
        """How calls are written: a key of `text.tools.syntax.SYNTAXES`."""
        ...

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[FunctionTool] = (),
        options: Mapping[str, bool | str] = MappingProxyType({}),
    ) -> str:
        """The prompt text, special tokens spelled out, ready for the assistant's turn.

        It tells of the tools, and of earlier calls, in `call_syntax`. `options` are variables for the
        template; one that it does not use has no effect.

        Raises:
            InvalidValue: the template refuses this conversation.
        """
        ...


class CompletionStore(Protocol):
    """Completions that outlive their request. A project never sees another's, nor that they exist.

    What returned is committed: no crash of this process or of the machine loses it. Whatever cannot
    be done raises `StoreUnavailable`; then nothing is promised, and a later call may work again.
    """

    async def check(self) -> None:
        """Pass where an `add` that follows is expected to work."""
        ...

    async def add(self, completion: StoredCompletion) -> None:
        """Keep a new completion."""
        ...

    async def get(self, project: str, id: str) -> StoredCompletion | None:
        """The completion, or None where this project has none of this id."""
        ...

    async def list(self, project: str, query: StoredQuery) -> StoredPage | None:
        """At most `query.limit` completions, fewer where they are large; at least one if there is one.

        None where the project never had the completion to go on behind.
        """
        ...

    async def set_metadata(
        self, project: str, id: str, metadata: Mapping[str, str]
    ) -> StoredCompletion | None:
        """Replace all metadata; the completion as it is now, or None as with `get`."""
        ...

    async def delete(self, project: str, id: str) -> bool:
        """Forget a completion; whether there was one."""
        ...

    async def expire(self, before: int) -> int:
        """Forget some of those that any project created before this Unix second, as if they had never been.

        How many; deleted ones count. 0: there are no more.
        """
        ...

    async def aclose(self) -> None:
        """Finish what was begun and let go of the database."""
        ...
