"""Which models this server answers for, under which names, and what answers for each.

A model is listed under its own id and again under each alias; nothing else is answered for, so a
name nobody configured is never silently served by another model.

Invariant: every name leads to one model that is served.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from antiphon.core.errors import ModelNotFound
from antiphon.core.generation import ModelInfo

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """What holds for requests to a model that do not say; None: what holds for every model."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    max_tokens: int | None = None


NO_DEFAULTS = ModelDefaults()


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One name that requests may ask for."""

    id: str
    created: int
    """Unix seconds."""
    context_length: int
    """Tokens of prompt and answer together."""
    vocab_size: int
    """Token ids run from 0 to this, exclusive."""
    alias_of: str | None = None
    """The model behind the name; None for a model's own name."""
    defaults: ModelDefaults = NO_DEFAULTS
    has_system_prompt: bool = False
    """Conversations without instructions of their own begin with the operator's."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model as the registry is told of it."""

    info: Callable[[], ModelInfo]
    """Its facts at this moment: some are known only once it was loaded. The id never changes."""
    aliases: Sequence[str] = ()
    defaults: ModelDefaults = NO_DEFAULTS
    has_system_prompt: bool = False


class ModelRegistry:
    """The names this server answers to. Immutable once made."""

    def __init__(self, entries: Sequence[ModelEntry], created: int) -> None:
        """Serve each under its id and under its aliases.

        A model's own name wins over an alias of the same name.

        Raises:
            ValueError: two models have the same name.
        """
        self._created = created
        self._entries = {entry.info().id: entry for entry in entries}
        if len(self._entries) < len(entries):
            raise ValueError("two models have the same name")
        self._aliases: dict[str, str] = {}
        for model, entry in self._entries.items():
            for alias in entry.aliases:
                if alias not in self._entries and self._aliases.setdefault(alias, model) != model:
                    raise ValueError(f"{alias!r} is an alias of two models")

    def list(self) -> tuple[ServedModel, ...]:
        """Every name: the models' own first, in the order of the configuration, then the aliases."""
        return tuple(self.get(name) for name in (*self._entries, *self._aliases))

    def get(self, name: str) -> ServedModel:
        """The entry of this exact name.

        Raises:
            ModelNotFound: nobody configured it.
        """
        model = self._aliases.get(name)
        entry = self._entries.get(name if model is None else model)
        if entry is None:
            raise ModelNotFound(name)
        info = entry.info()
        return ServedModel(
            name,
            self._created,
            info.context_length,
            info.vocab_size,
            model,
            entry.defaults,
            entry.has_system_prompt,
        )

    def resolve(self, name: str | None) -> ServedModel:
        """The model that answers to this name, alias or not; the first one where none is named.

        Raises:
            ModelNotFound: nobody configured it.
        """
        if name is None:
            return self.get(next(iter(self._entries)))
        entry = self.get(name)
        return entry if entry.alias_of is None else self.get(entry.alias_of)


class PerModel(Generic[S]):
    """What each model has of its own, found by any of its names."""

    def __init__(self, models: ModelRegistry, each: Mapping[str, S]) -> None:
        """`each` has one for every model's id."""
        self._models = models
        self._each = each

    def of(self, name: str | None) -> S:
        """That of the model of this name; of the first one where none is named.

        Raises:
            ModelNotFound: nobody configured it.
        """
        return self._each[self._models.resolve(name).id]
