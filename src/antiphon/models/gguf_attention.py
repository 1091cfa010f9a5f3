"""How the layers of a model attend: rotary positions, windows and scales, as its GGUF metadata says.

For the architectures whose attention OpenVINO's converter does not build. What it does not do is
apply them: that is `graph_attention`'s.

Invariant: what cannot be held exactly is refused, or bounds the context to the part that can.

Source: llama.cpp (`llama-hparams`, `llama-model`) for what the keys mean and what is meant where one
is absent; Hugging Face's `Phi3Config` and `Gemma3TextConfig`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from antiphon.models.errors import ModelError
from antiphon.models.gguf import Gguf, read_f32
from antiphon.models.gguf_values import head_width, integer, number

SHORT_FACTORS: Final = "rope_factors_short.weight"
LONG_FACTORS: Final = "rope_factors_long.weight"
"""Divisors of the rotary frequencies up to the context that a Phi-3 was first trained with, and beyond."""

_DEFAULT_CONTEXT: Final = 2048
_FIRST_PHI3_CONTEXT: Final = 4096
_FIRST_PHI3_WINDOW: Final = 2047
"""Of Phi-3 models with 4096 positions, whose early files do not state it."""
_GEMMA3_PATTERN: Final = 6
"""Every sixth layer of a Gemma 3 sees the whole context."""
_GEMMA3_WINDOWED_BASE: Final = 10_000.0
_GEMMA3_27B_BLOCKS: Final = 62
"""The one size whose queries are scaled by width and heads instead of the width of a head."""


@dataclass(frozen=True, slots=True)
class Attention:
    """How one layer attends. The tuples have a number for each pair of the halves of a head."""

    frequencies: tuple[float, ...]
    """By which a pair is turned for each position, in radians."""
    magnitudes: tuple[float, ...]
    """By which a pair is multiplied when it is turned."""
    scale: float
    """Of the products of queries and keys."""
    window: int | None
    """Positions that a token sees, its own among them; None: all before it."""


def context_length(gguf: Gguf) -> int:
    """The tokens that the model is served with, prompt and answer together.

    A Phi-3 with two sets of factors computes all its positions with the second one as soon as there
    are more than it was first trained with, so that cached keys would be wrong: it ends there.

    Raises:
        ModelError: the file states something that is no length.
    """
    architecture = str(gguf.metadata["general.architecture"])
    whole = integer(gguf, f"{architecture}.context_length", _DEFAULT_CONTEXT)
    if SHORT_FACTORS not in gguf.tensors:
        return whole
    return min(whole, integer(gguf, f"{architecture}.rope.scaling.original_context_length", whole))


def attentions(gguf: Gguf) -> tuple[Attention, ...]:
    """One for each block of a phi3 or gemma3 model; none for those that the converter builds itself.

    Raises:
        ModelError: the metadata is damaged, or asks for what cannot be held.
    """
    architecture = str(gguf.metadata["general.architecture"])
    kinds = {"phi3": _phi3, "gemma3": _gemma3}
    return tuple(kinds[architecture](gguf)) if architecture in kinds else ()


def _phi3(gguf: Gguf) -> Iterator[Attention]:
    head = head_width(gguf, "phi3")
    turned = integer(gguf, "phi3.rope.dimension_count", head)
    if turned > head or turned % 2 or head % 2:
        raise ModelError(f"{gguf.path}: damaged GGUF file ({turned} rotary dimensions of {head})")
    frequencies = _frequencies(number(gguf, "phi3.rope.freq_base", 10_000.0), turned)
    magnitude = 1.0
    if SHORT_FACTORS in gguf.tensors:
        factors = read_f32(gguf, SHORT_FACTORS)
        if len(factors) != len(frequencies) or not all(0 < factor < math.inf for factor in factors):
            raise ModelError(f"{gguf.path}: damaged GGUF file ({SHORT_FACTORS} does not fit a head)")
        frequencies = tuple(f / factor for f, factor in zip(frequencies, factors, strict=True))
        magnitude = number(gguf, "phi3.rope.scaling.attn_factor", 1.0)
    still = (head - turned) // 2
    attention = Attention(
        frequencies=(*frequencies, *[0.0] * still),
        magnitudes=(*[magnitude] * len(frequencies), *[1.0] * still),
        scale=head**-0.5,
        window=_phi3_window(gguf),
    )
    return iter([attention] * integer(gguf, "phi3.block_count"))


def _phi3_window(gguf: Gguf) -> int | None:
    stated = gguf.metadata.get("phi3.attention.sliding_window")
    if stated is None and context_length(gguf) == _FIRST_PHI3_CONTEXT:
        return _FIRST_PHI3_WINDOW
    return None if not stated else integer(gguf, "phi3.attention.sliding_window")


def _gemma3(gguf: Gguf) -> Iterator[Attention]:
    blocks, head = integer(gguf, "gemma3.block_count"), head_width(gguf, "gemma3")
    stretch = 1.0
    if gguf.metadata.get("gemma3.rope.scaling.type", "none") != "none":
        stretch = number(gguf, "gemma3.rope.scaling.factor", 1.0)
    base = number(gguf, "gemma3.rope.freq_base", 1_000_000.0)
    windowed_base = number(gguf, "gemma3.rope.freq_base_swa", _GEMMA3_WINDOWED_BASE)
    everything = tuple(frequency / stretch for frequency in _frequencies(base, head))
    windowed = _frequencies(windowed_base, head)
    per_head = integer(gguf, "gemma3.embedding_length") // integer(gguf, "gemma3.attention.head_count")
    scale = (per_head if blocks == _GEMMA3_27B_BLOCKS else head) ** -0.5
    window = integer(gguf, "gemma3.attention.sliding_window")
    for is_windowed in _gemma3_windows(gguf, blocks):
        frequencies = windowed if is_windowed else everything
        yield Attention(frequencies, (1.0,) * (head // 2), scale, window if is_windowed else None)


def _gemma3_windows(gguf: Gguf, blocks: int) -> list[bool]:
    """Which layers see a window only."""
    key = "gemma3.attention.sliding_window_pattern"
    stated = gguf.metadata.get(key)
    if isinstance(stated, tuple):
        if len(stated) != blocks or not all(isinstance(item, bool) for item in stated):
            raise ModelError(f"{gguf.path}: damaged GGUF file ({key} does not fit its blocks)")
        return [bool(item) for item in stated]
    pattern = integer(gguf, key, _GEMMA3_PATTERN)
    return [block % pattern < pattern - 1 for block in range(blocks)]


def _frequencies(base: float, turned: int) -> tuple[float, ...]:
    return tuple(base ** (-pair / turned) for pair in range(0, turned, 2))
