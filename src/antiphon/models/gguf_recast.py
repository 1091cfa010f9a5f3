"""Say a phi3 or gemma3 GGUF in the words of qwen3, the widest of the architectures the converter knows.

What the two have in common with it is converted so: projections, norms, the feed-forward part. The
converter takes no fused matrices, so phi3's are given by their rows. Where a phi3 turns only a part of
each head, the rows of queries and keys are ordered such that the turned dimensions are the first of
each half. What qwen3 does not have is left out here and put into the converted model by
`graph_attention` and `graph_gemma3`; this module only says what is to be written, `gguf_rewrite`
writes it.

Invariant: every tensor of the file has a place, here or there; a model with more is refused.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from antiphon.models.gguf import Gguf, Tensor
from antiphon.models.gguf_values import head_width, integer, number

Rows = NDArray[np.intp]

_TARGET: Final = "qwen3"
_STRING, _U32, _F32 = 8, 4, 6
_MOSTLY_Q8_0: Final = 7
OUTER_TENSORS: Final = ("token_embd.weight", "output_norm.weight")
OUTPUT: Final = "output.weight"
"""The vocabulary projection, where it is not the embedding's matrix."""
POST_NORMS: Final = ("post_attention_norm", "post_ffw_norm")
"""gemma3's norms behind attention and feed-forward part, which the converter has no place for."""
BLOCK_TENSORS: Final[Mapping[str, tuple[str, ...]]] = {
    "phi3": ("attn_norm", "attn_qkv", "attn_output", "ffn_norm", "ffn_up", "ffn_down"),
    "gemma3": (
        *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_q_norm", "attn_k_norm", "attn_output"),
        *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
        *POST_NORMS,
    ),
}
"""What a block of each has; the architectures that are recast."""


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor to write."""

    name: str
    source: Tensor
    rows: Rows | None = None
    """Which rows of the source, in which order; None: all of it as it is."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Fastest dimension first."""
        return self.source.shape if self.rows is None else (self.source.shape[0], len(self.rows))


def is_recast(gguf: Gguf) -> bool:
    """Whether the converter is to see the model as one of another architecture."""
    return gguf.metadata["general.architecture"] in BLOCK_TENSORS


def parts(gguf: Gguf) -> list[Part]:
    """The tensors that the converter is to see."""
    if not is_recast(gguf):
        return [Part(tensor.name, tensor) for tensor in gguf.tensors.values()]
    outer = [name for name in (*OUTER_TENSORS, OUTPUT) if name in gguf.tensors]
    found = [Part(name, gguf.tensors[name]) for name in outer]
    architecture = str(gguf.metadata["general.architecture"])
    for block in range(integer(gguf, f"{architecture}.block_count")):
        for name in BLOCK_TENSORS[architecture]:
            if name not in POST_NORMS:
                found += _block_parts(gguf, f"blk.{block}", name)
    return found


def _block_parts(gguf: Gguf, block: str, name: str) -> Iterator[Part]:
    tensor = gguf.tensors[f"{block}.{name}.weight"]
    if gguf.metadata["general.architecture"] == "phi3" and name in ("attn_qkv", "ffn_up"):
        split = _attention_rows(gguf) if name == "attn_qkv" else _feed_forward_rows(tensor)
        for part, rows in split.items():
            yield Part(f"{block}.{part}.weight", tensor, rows)
    else:
        yield Part(tensor.name, tensor)


def _attention_rows(gguf: Gguf) -> dict[str, Rows]:
    heads = integer(gguf, "phi3.attention.head_count")
    kv_heads = integer(gguf, "phi3.attention.head_count_kv", heads)
    head = head_width(gguf, "phi3")
    order = _turned_first(head, integer(gguf, "phi3.rope.dimension_count", head))
    rows = np.arange((heads + 2 * kv_heads) * head).reshape(-1, head)
    queries, keys, values = np.split(rows, [heads, heads + kv_heads])
    return {
        "attn_q": queries[:, order].reshape(-1),
        "attn_k": keys[:, order].reshape(-1),
        "attn_v": values.reshape(-1),
    }


def _turned_first(head: int, turned: int) -> Rows:
    """Dimensions of a head such that pairs a half of the *head* apart were a half of `turned` apart."""
    first, second, still = np.split(np.arange(head), [turned // 2, turned])
    middle = len(still) // 2
    return np.concatenate((first, still[:middle], second, still[middle:]))


def _feed_forward_rows(tensor: Tensor) -> dict[str, Rows]:
    gate, up = np.split(np.arange(tensor.shape[1]), 2)
    return {"ffn_gate": gate, "ffn_up": up}


def header(gguf: Gguf, count: int) -> bytes:
    """What stands before the list of `count` tensors: magic, version, metadata. No vocabulary."""
    architecture = str(gguf.metadata["general.architecture"])
    heads = integer(gguf, f"{architecture}.attention.head_count")
    whole_numbers = {
        "general.alignment": gguf.alignment,
        "general.file_type": _MOSTLY_Q8_0,  # then scales are looked for wherever there may be some
        f"{_TARGET}.block_count": integer(gguf, f"{architecture}.block_count"),
        f"{_TARGET}.context_length": integer(gguf, f"{architecture}.context_length", 2048),
        f"{_TARGET}.embedding_length": integer(gguf, f"{architecture}.embedding_length"),
        f"{_TARGET}.attention.head_count": heads,
        f"{_TARGET}.attention.head_count_kv": integer(gguf, f"{architecture}.attention.head_count_kv", heads),
        f"{_TARGET}.attention.key_length": head_width(gguf, architecture),
    }
    epsilon = number(gguf, f"{architecture}.attention.layer_norm_rms_epsilon", 1e-6)
    pairs = [
        _text("general.architecture") + struct.pack("<I", _STRING) + _text(_TARGET),
        *(_text(key) + struct.pack("<II", _U32, value) for key, value in whole_numbers.items()),
        _text(f"{_TARGET}.attention.layer_norm_rms_epsilon") + struct.pack("<If", _F32, epsilon),
    ]
    return b"GGUF" + struct.pack("<IQQ", 3, count, len(pairs)) + b"".join(pairs)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()
