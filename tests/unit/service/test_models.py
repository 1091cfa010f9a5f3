"""The names a server answers to."""

from dataclasses import replace

import pytest

from antiphon.core.errors import ModelNotFound
from antiphon.core.generation import ModelInfo
from antiphon.service.models import ModelDefaults, ModelEntry, ModelRegistry, PerModel, ServedModel

INFO = ModelInfo("small", context_length=2048, vocab_size=100, eos_token_ids=(2,), fingerprint="fp_1")


LARGE = ModelInfo("large", context_length=4096, vocab_size=200, eos_token_ids=(2,), fingerprint="fp_2")


def registry(*aliases: str) -> ModelRegistry:
    """A registry of one model, made at second 7."""
    return ModelRegistry([ModelEntry(lambda: INFO, aliases)], 7)


def two(of_small: tuple[str, ...] = (), of_large: tuple[str, ...] = ()) -> ModelRegistry:
    """A registry of two models."""
    entries = [ModelEntry(lambda: INFO, of_small), ModelEntry(lambda: LARGE, of_large)]
    return ModelRegistry(entries, 7)


def test_list_names_the_model_first_then_its_aliases() -> None:
    """Aliases are shown as what they are."""
    assert registry("other").list() == (
        ServedModel("small", 7, 2048, 100),
        ServedModel("other", 7, 2048, 100, alias_of="small"),
    )


def test_resolve_follows_an_alias() -> None:
    """A request for an alias is served by the model behind it."""
    assert registry("other").resolve("other").id == "small"
    assert registry().resolve("small").id == "small"


def test_get_returns_the_entry_as_asked_for() -> None:
    """Looking an alias up does not hide that it is one."""
    assert registry("other").get("other").alias_of == "small"


@pytest.mark.parametrize("name", ["", "smal", "SMALL", "small "])
def test_unknown_name_is_not_found(name: str) -> None:
    """Names are exact; nothing is guessed."""
    with pytest.raises(ModelNotFound) as missing:
        registry().resolve(name)

    assert missing.value.model == name


def test_model_wins_over_an_alias_of_the_same_name() -> None:
    """An alias cannot hide a model."""
    assert registry("small").get("small").alias_of is None
    assert two(of_small=("large",)).resolve("large").id == "large"


def test_several_models_are_listed_before_their_aliases() -> None:
    """In the order of the configuration; the first answers where none is named."""
    names = two(("s",), ("l", "big"))

    assert [model.id for model in names.list()] == ["small", "large", "s", "l", "big"]
    assert [names.resolve(name).id for name in ("big", "s", None)] == ["large", "small", "small"]


def test_names_of_two_models_are_apart() -> None:
    """A mistake in the configuration is found at the start."""
    with pytest.raises(ValueError, match="'both' is an alias of two models"):
        two(("both",), ("both",))
    with pytest.raises(ValueError, match="same name"):
        ModelRegistry([ModelEntry(lambda: INFO), ModelEntry(lambda: INFO)], 7)


def test_facts_are_those_of_the_moment() -> None:
    """What the KV cache holds is known only when the model was loaded."""
    told = INFO
    names = ModelRegistry([ModelEntry(lambda: told, ("s",), ModelDefaults(top_p=0.5))], 7)
    before = names.get("s")
    told = replace(INFO, context_length=64)

    assert (before.context_length, names.get("s").context_length) == (2048, 64)
    assert before.defaults == ModelDefaults(top_p=0.5)


def test_each_model_has_its_own() -> None:
    """Found by any of its names."""
    own = PerModel(two(of_large=("big",)), {"small": 1, "large": 2})

    assert [own.of(name) for name in ("small", "large", "big", None)] == [1, 2, 2, 1]
    with pytest.raises(ModelNotFound):
        own.of("huge")
