"""Which GGUF models can be run, and the facts the rest of the server needs of one.

The lists hold exactly what was seen to arrive correctly in the prepared model. Anything else is
refused here, by name and before native code sees the file.
"""

from collections.abc import Iterator
from typing import Final

from antiphon.models.errors import ModelError
from antiphon.models.gguf import Gguf, Tensor, Value

ARCHITECTURES: Final = ("llama", "qwen2", "qwen3")
CARRIED_OVER: Final = ("F16", "Q4_0", "Q8_0")
"""Types of matrices that the converter carries over as they are."""
WIDENED: Final = ("BF16", "F32")
"""Types that become F16 first."""
ROUNDED_BY_ROW: Final = ("IQ4_NL", "Q3_K", "Q4_1", "Q4_K", "Q5_0", "Q5_1", "Q5_K", "Q6_K")
"""Types that become 8-bit with one scale per row first, see docs/decisions/0007."""
MATRIX_TYPES: Final = tuple(sorted(CARRIED_OVER + WIDENED + ROUNDED_BY_ROW))
"""What two-dimensional weights may be stored as; vectors (norms, biases) are always F32."""

_BLOCK_TENSORS: Final = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"),
    *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
)
_MAX_BLOCKS: Final = 1024
ROPE_FACTORS: Final = "rope_freqs.weight"
"""Divisors of the rotary frequencies (Llama 3.1 and later), which the converter leaves to us."""


def check_supported(gguf: Gguf) -> None:
    """Refuse a model that the converter cannot carry over faithfully.

    Raises:
        ModelError: naming the obstacle and what is supported.
    """
    architecture = gguf.metadata.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise ModelError(
            f"{gguf.path}: architecture {_shown(architecture)} is not supported "
            f"(supported: {', '.join(ARCHITECTURES)})"
        )
    if "split.count" in gguf.metadata and gguf.metadata["split.count"] != 1:
        raise ModelError(f"{gguf.path}: a split model is not supported (merge its parts into one file)")
    _check_rope(gguf, str(architecture))
    for name in _required_tensors(gguf, str(architecture)):
        if name not in gguf.tensors:
            raise ModelError(f"{gguf.path}: not a plain {architecture} model: it has no tensor {name}")
    _check_shape(gguf, str(architecture))
    for tensor in gguf.tensors.values():
        _check_type(gguf, tensor)


def integer(gguf: Gguf, key: str, default: int | None = None) -> int:
    """A positive whole number from the metadata; `default` where the file does not say.

    Raises:
        ModelError: it is absent without a default, or something else.
    """
    value = gguf.metadata.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ModelError(f"{gguf.path}: damaged GGUF file ({key} is {_shown(value)})")
    return value


def _check_shape(gguf: Gguf, architecture: str) -> None:
    """The numbers the converter takes as they are, and computes with."""
    for key in (f"{architecture}.attention.layer_norm_rms_epsilon", "general.file_type"):
        if key not in gguf.metadata:
            raise ModelError(f"{gguf.path}: damaged GGUF file ({key} is missing)")
    heads = integer(gguf, f"{architecture}.attention.head_count")
    width = integer(gguf, f"{architecture}.embedding_length")
    head = integer(gguf, f"{architecture}.attention.key_length", width // heads)
    kv_heads = integer(gguf, f"{architecture}.attention.head_count_kv", heads)
    if gguf.metadata.get(f"{architecture}.rope.dimension_count", head) != head:
        raise ModelError(f"{gguf.path}: rotary positions on part of a head are not supported from GGUF")
    shapes = {"attn_q": (width, heads * head), "attn_output": (heads * head, width)}
    shapes |= dict.fromkeys(("attn_k", "attn_v"), (width, kv_heads * head))
    for name, shape in shapes.items():
        if gguf.tensors[f"blk.0.{name}.weight"].shape != shape:
            raise ModelError(f"{gguf.path}: damaged GGUF file ({name} is not of shape {shape})")


def _required_tensors(gguf: Gguf, architecture: str) -> Iterator[str]:
    blocks = integer(gguf, f"{architecture}.block_count")
    if blocks > _MAX_BLOCKS:
        raise ModelError(f"{gguf.path}: damaged GGUF file ({blocks} blocks)")
    yield from ("token_embd.weight", "output_norm.weight")
    for block in range(blocks):
        yield from (f"blk.{block}.{name}.weight" for name in _BLOCK_TENSORS)


def _check_type(gguf: Gguf, tensor: Tensor) -> None:
    allowed = MATRIX_TYPES if len(tensor.shape) > 1 else ("F32",)
    if tensor.type_name not in allowed:
        raise ModelError(
            f"{gguf.path}: quantisation {tensor.type_name} of {tensor.name} is not supported "
            f"(supported: {', '.join(MATRIX_TYPES)})"
        )


def _check_rope(gguf: Gguf, architecture: str) -> None:
    """The converter ignores stretched positions: such a model would answer, but not as it was trained."""
    scaling = gguf.metadata.get(f"{architecture}.rope.scaling.type", "none")
    if scaling != "none":
        raise ModelError(
            f"{gguf.path}: rotary positions scaled by {_shown(scaling)} are not supported from GGUF "
            "(give a folder with the OpenVINO model instead)"
        )


def _shown(value: Value | None) -> str:
    """A foreign value, short enough for one line."""
    return "missing" if value is None else repr(value)[:80]
