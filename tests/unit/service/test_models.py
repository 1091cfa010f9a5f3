"""The names a server answers to."""

import pytest

from antiphon.core.errors import ModelNotFound
from antiphon.core.generation import ModelInfo
from antiphon.service.models import ModelRegistry, ServedModel

INFO = ModelInfo("small", context_length=2048, vocab_size=100, eos_token_ids=(2,), fingerprint="fp_1")


def registry(**aliases: str) -> ModelRegistry:
    """A registry of one model, made at second 7."""
    return ModelRegistry(INFO, 7, aliases)


def test_list_names_the_model_first_then_its_aliases() -> None:
    """Aliases are shown as what they are."""
    assert registry(other="small").list() == (
        ServedModel("small", 7, 2048, 100),
        ServedModel("other", 7, 2048, 100, alias_of="small"),
    )


def test_resolve_follows_an_alias() -> None:
    """A request for an alias is served by the model behind it."""
    assert registry(other="small").resolve("other").id == "small"
    assert registry().resolve("small").id == "small"


def test_get_returns_the_entry_as_asked_for() -> None:
    """Looking an alias up does not hide that it is one."""
    assert registry(other="small").get("other").alias_of == "small"


@pytest.mark.parametrize("name", ["", "smal", "SMALL", "small "])
def test_unknown_name_is_not_found(name: str) -> None:
    """Names are exact; nothing is guessed."""
    with pytest.raises(ModelNotFound) as missing:
        registry().resolve(name)

    assert missing.value.model == name


def test_model_wins_over_an_alias_of_the_same_name() -> None:
    """An alias cannot hide a model."""
    assert registry(small="small").get("small").alias_of is None


def test_alias_to_nowhere_is_refused() -> None:
    """A mistake in the configuration is found at the start."""
    with pytest.raises(ValueError, match="not served"):
        registry(other="large")
