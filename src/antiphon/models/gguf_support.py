"""Which GGUF models can be run, and the facts the rest of the server needs of one.

The lists hold exactly what was seen to arrive correctly in the prepared model. Anything else is
refused here, by name and before native code sees the file.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from antiphon.models.errors import ModelError
from antiphon.models.gguf import Gguf, Tensor
from antiphon.models.gguf_attention import LONG_FACTORS, SHORT_FACTORS, attentions
from antiphon.models.gguf_recast import BLOCK_TENSORS, OUTER_TENSORS, OUTPUT, POST_NORMS
from antiphon.models.gguf_values import head_width, integer, shown

CONVERTED: Final = ("llama", "qwen2", "qwen3")
"""Architectures that the converter knows."""
ARCHITECTURES: Final = (*CONVERTED, *BLOCK_TENSORS)
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
_SCALINGS: Final[Mapping[str, tuple[str, ...]]] = {"phi3": ("none", "longrope"), "gemma3": ("none", "linear")}
"""Kinds of stretched positions that are held; elsewhere none."""
_CAPPED: Final = ("attn_logit_softcapping", "final_logit_softcapping")
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
            f"{gguf.path}: architecture {shown(architecture)} is not supported "
            f"(supported: {', '.join(ARCHITECTURES)})"
        )
    if "split.count" in gguf.metadata and gguf.metadata["split.count"] != 1:
        raise ModelError(f"{gguf.path}: a split model is not supported (merge its parts into one file)")
    _check_rope(gguf, str(architecture))
    for name in _required_tensors(gguf, str(architecture)):
        if name not in gguf.tensors:
            raise ModelError(f"{gguf.path}: not a plain {architecture} model: it has no tensor {name}")
    _check_shape(gguf, str(architecture))
    if architecture in BLOCK_TENSORS:
        _check_recast(gguf, str(architecture))
    for tensor in gguf.tensors.values():
        _check_type(gguf, tensor)


def _check_shape(gguf: Gguf, architecture: str) -> None:
    """The numbers the converter takes as they are, and computes with."""
    for key in (f"{architecture}.attention.layer_norm_rms_epsilon", "general.file_type"):
        if key not in gguf.metadata:
            raise ModelError(f"{gguf.path}: damaged GGUF file ({key} is missing)")
    head = head_width(gguf, architecture)
    turned = gguf.metadata.get(f"{architecture}.rope.dimension_count", head)
    if architecture != "phi3" and turned != head:
        raise ModelError(f"{gguf.path}: rotary positions on part of a head are not supported from GGUF")
    blocks = integer(gguf, f"{architecture}.block_count") if architecture in BLOCK_TENSORS else 1
    for name, shape in _shapes(gguf, architecture).items():
        for block in range(blocks):
            if gguf.tensors[f"blk.{block}.{name}.weight"].shape != shape:
                raise ModelError(f"{gguf.path}: damaged GGUF file ({name} is not of shape {shape})")


def _shapes(gguf: Gguf, architecture: str) -> dict[str, tuple[int, ...]]:
    """Tensors of a block and the shapes that follow from the metadata."""
    heads = integer(gguf, f"{architecture}.attention.head_count")
    kv_heads = integer(gguf, f"{architecture}.attention.head_count_kv", heads)
    width, head = integer(gguf, f"{architecture}.embedding_length"), head_width(gguf, architecture)
    shapes: dict[str, tuple[int, ...]] = {"attn_output": (heads * head, width)}
    if architecture in BLOCK_TENSORS:
        inner = gguf.tensors["blk.0.ffn_down.weight"].shape[0]
        shapes |= {"attn_norm": (width,), "ffn_norm": (width,), "ffn_down": (inner, width)}
    if architecture == "phi3":
        return shapes | {"attn_qkv": (width, (heads + 2 * kv_heads) * head), "ffn_up": (width, 2 * inner)}
    if architecture == "gemma3":
        shapes |= dict.fromkeys(("ffn_gate", "ffn_up"), (width, inner))
        shapes |= dict.fromkeys(POST_NORMS, (width,))
        shapes |= dict.fromkeys(("attn_q_norm", "attn_k_norm"), (head,))
    shapes |= dict.fromkeys(("attn_k", "attn_v"), (width, kv_heads * head))
    return shapes | {"attn_q": (width, heads * head)}


def _check_recast(gguf: Gguf, architecture: str) -> None:
    """Nothing of these models may be left out, nor their attention be stated in a way nobody checked."""
    placed = {*_required_tensors(gguf, architecture), OUTPUT, SHORT_FACTORS, LONG_FACTORS}
    for name in gguf.tensors.keys() - placed:
        raise ModelError(f"{gguf.path}: not a plain {architecture} model: it has a tensor {name[:80]!r}")
    for key in (f"{architecture}.{name}" for name in _CAPPED):
        if gguf.metadata.get(key):
            raise ModelError(f"{gguf.path}: capped logits ({key}) are not supported")
    attentions(gguf)


def _required_tensors(gguf: Gguf, architecture: str) -> Iterator[str]:
    blocks = integer(gguf, f"{architecture}.block_count")
    if blocks > _MAX_BLOCKS:
        raise ModelError(f"{gguf.path}: damaged GGUF file ({blocks} blocks)")
    yield from OUTER_TENSORS
    for block in range(blocks):
        for name in BLOCK_TENSORS.get(architecture, _BLOCK_TENSORS):
            yield f"blk.{block}.{name}.weight"


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
    if scaling not in _SCALINGS.get(architecture, ("none",)):
        raise ModelError(
            f"{gguf.path}: rotary positions scaled by {shown(scaling)} are not supported from GGUF "
            "(give a folder with the OpenVINO model instead)"
        )
