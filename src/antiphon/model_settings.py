"""The settings of one model, as a table of the settings file gives them.

    [models.writer]
    model = "hf:Qwen/Qwen3-0.6B-GGUF:Q8_0"
    alias = ["gpt-4o"]
    temperature = 0.6

Defaults hold for requests that do not say otherwise; bounds are those of the request's own fields.

Invariant: a `ModelSettings` that exists is valid.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Final

import msgspec
from msgspec import Meta

_MAX_SYSTEM_PROMPT = 32_768


def _about(text: str, ge: float | None = None, le: float | None = None) -> Meta:
    """A key's help text and, for numbers, its bounds."""
    return Meta(description=text, ge=ge, le=le)


class ModelSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The keys of a table `[models.NAME]`."""

    model: Annotated[
        str, _about("What to serve, named as `antiphon serve` takes it; else the table's name")
    ] = ""
    alias: Annotated[tuple[str, ...], _about("Other names it answers to")] = ()
    chat_template: Annotated[str, _about("File with a Jinja chat template to use instead of its own")] = ""
    system_prompt: Annotated[
        str,
        Meta(
            description="What conversations begin with that have no system or developer message",
            max_length=_MAX_SYSTEM_PROMPT,
        ),
    ] = ""
    temperature: Annotated[float, _about("Default of the field", ge=0, le=2)] | None = None
    top_p: Annotated[float, _about("Default of the field", ge=0, le=1)] | None = None
    top_k: Annotated[int, _about("Default of the field; 0: off", ge=0)] | None = None
    min_p: Annotated[float, _about("Default of the field", ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, _about("Default of the field", ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, _about("Default of the field", ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, _about("Default of the field", ge=0.01, le=10)] | None = None
    max_tokens: (
        Annotated[int, _about("Tokens of an answer whose request sets no bound, in every API", ge=1)] | None
    ) = None
    kv_cache_mib: (
        Annotated[int, _about("Memory for its KV cache, in MiB; else the server's", ge=16)] | None
    ) = None


MODEL_KEYS: Final = ModelSettings.__struct_fields__


def check_tables(tables: object) -> None:
    """Pass where all tables are valid; what is no table of tables is for others to tell.

    Raises:
        ValueError: one is not; the text names it, the key, and what that may have been meant to be.
    """
    for name, table in tables.items() if isinstance(tables, dict) else ():
        for key in table if isinstance(table, dict) else ():
            if key not in MODEL_KEYS:
                near = get_close_matches(key, MODEL_KEYS, n=1)
                meant = f"did you mean {near[0]}?" if near else f"known: {', '.join(MODEL_KEYS)}"
                raise ValueError(f"[models.{name}]: there is no key named {key!r}; {meant}")
        try:
            msgspec.convert(table, ModelSettings)
        except msgspec.ValidationError as error:
            raise ValueError(f"[models.{name}]: {error}") from None


@dataclass(frozen=True, slots=True)
class WantedModel:
    """A model that is to be served."""

    name: str
    """What the API calls it; empty: by the name that it brings."""
    settings: ModelSettings
    """With `model` filled in."""
