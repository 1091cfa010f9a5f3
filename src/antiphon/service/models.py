"""Which models this server answers for, and under which names.

A model is listed under its own id and again under each alias; nothing else is answered for, so a
name nobody configured is never silently served by another model.

Invariant: every alias leads to a model that is served.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from antiphon.core.errors import ModelNotFound
from antiphon.core.generation import ModelInfo


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


class ModelRegistry:
    """The names this server answers to. Immutable once made."""

    def __init__(self, info: ModelInfo, created: int, aliases: Mapping[str, str]) -> None:
        """Serve `info` under its id and under each alias (alias name → model id).

        A model's own name wins over an alias of the same name.

        Raises:
            ValueError: an alias leads to a model that is not served.
        """
        model = ServedModel(info.id, created, info.context_length, info.vocab_size)
        self._models = {model.id: model}
        for name, target in aliases.items():
            if target != model.id:
                raise ValueError(f"alias {name!r} leads to {target!r}, which is not served")
            self._models.setdefault(name, replace(model, id=name, alias_of=target))

    def list(self) -> tuple[ServedModel, ...]:
        """Every name: the model's own first, then the aliases as configured."""
        return tuple(self._models.values())

    def get(self, name: str) -> ServedModel:
        """The entry of this exact name.

        Raises:
            ModelNotFound: nobody configured it.
        """
        try:
            return self._models[name]
        except KeyError:
            raise ModelNotFound(name) from None

    def resolve(self, name: str) -> ServedModel:
        """The model that answers to this name, alias or not.

        Raises:
            ModelNotFound: nobody configured it.
        """
        entry = self.get(name)
        return entry if entry.alias_of is None else self._models[entry.alias_of]
