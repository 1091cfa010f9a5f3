"""Write a GGUF's weights as Hugging Face's libraries and vLLM read them: one safetensors file.

Every weight is written as the float32 that its block stands for; nothing is rounded. Rows of queries
and keys, which GGUF files of the llama architecture hold in another order, are put back.

Invariant: memory does not grow with the model; a few million weights are in it at a time.

Source: the safetensors format (a length, a JSON header, the data); the names of `transformers`, as
`convert_hf_to_gguf.py` translates them.
"""

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from antiphon.models.dequantise import Bytes, Weights, dequantise
from antiphon.models.errors import ModelError
from antiphon.models.gguf import TENSOR_TYPES, Gguf, Tensor
from antiphon.models.gguf_recast import is_recast
from antiphon.models.gguf_support import ROPE_FACTORS
from antiphon.models.gguf_values import integer
from antiphon.models.json_files import read_json

MODEL_FILE: Final = "model.safetensors"
_CHUNK_WEIGHTS: Final = 1 << 21
_ALIGNMENT: Final = 8
_BLOCK_TENSOR: Final = re.compile(r"blk\.(\d+)\.(\w+)\.(weight|bias)")
_ARCHITECTURES: Final[Mapping[str, str]] = MappingProxyType(
    {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
)
_OUTER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight",
    }
)
_BLOCK_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
)


def write_model(gguf: Gguf, folder: Path) -> None:
    """Write `model.safetensors`, four bytes per weight, and complete the folder's `config.json`.

    `gguf` must have passed `check_supported`.

    Raises:
        ModelError: a tensor has no place in the format, or holds what is no number.
    """
    if is_recast(gguf):
        raise ModelError(
            f"{gguf.path}: {gguf.metadata['general.architecture']} cannot be carried over from GGUF for this "
            "engine (give a folder with the model's safetensors, or serve it with --engine openvino)"
        )
    if ROPE_FACTORS in gguf.tensors:
        raise ModelError(
            f"{gguf.path}: rotary positions scaled by factors cannot be carried over from GGUF "
            "(give a folder with the model's safetensors instead)"
        )
    names = {_name(gguf, tensor): tensor for tensor in gguf.tensors.values()}
    header = _header(names)
    with (folder / MODEL_FILE).open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for tensor in names.values():
            for chunk in _weights(gguf, tensor):
                file.write(chunk.tobytes())
    config = read_json(folder / "config.json") | _config(gguf)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _name(gguf: Gguf, tensor: Tensor) -> str:
    if tensor.name in _OUTER_NAMES:
        return _OUTER_NAMES[tensor.name]
    match = _BLOCK_TENSOR.fullmatch(tensor.name)
    if match is None or match[2] not in _BLOCK_NAMES:
        raise ModelError(f"{gguf.path}: {tensor.name[:80]} has no place in a safetensors model")
    return f"model.layers.{match[1]}.{_BLOCK_NAMES[match[2]]}.{match[3]}"


def _header(names: Mapping[str, Tensor]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in names.items():
        end = offset + 4 * math.prod(tensor.shape)
        entries[name] = {"dtype": "F32", "shape": tensor.shape[::-1], "data_offsets": (offset, end)}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % _ALIGNMENT)


def _weights(gguf: Gguf, tensor: Tensor) -> Iterator[Weights]:
    """The tensor's weights, some rows at a time."""
    source = np.memmap(gguf.path, np.uint8, mode="r")
    start = gguf.data_start + tensor.offset
    columns = tensor.shape[0] if len(tensor.shape) > 1 else 1
    packed = source[start : start + tensor.byte_count].reshape(math.prod(tensor.shape) // columns, -1)
    order = _row_order(gguf, tensor, len(packed))
    step = max(1, _CHUNK_WEIGHTS // columns)
    for first in range(0, len(packed), step):
        chosen = slice(first, first + step) if order is None else order[first : first + step]
        rows: Bytes = np.ascontiguousarray(packed[chosen])
        weights = dequantise(tensor.type_name, rows.reshape(-1, TENSOR_TYPES[tensor.type].size))
        if not np.isfinite(weights).all():
            raise ModelError(f"{gguf.path}: {tensor.name} has weights that are infinite or no numbers")
        yield weights.astype("<f4", copy=False)


def _row_order(gguf: Gguf, tensor: Tensor, rows: int) -> NDArray[np.intp] | None:
    """From which row each one comes: of a head that pairs neighbours to one that pairs its halves."""
    part = tensor.name.split(".")[-2]
    if gguf.metadata["general.architecture"] != "llama" or part not in ("attn_q", "attn_k"):
        return None
    heads = integer(gguf, "llama.attention.head_count")
    if part == "attn_k":
        heads = integer(gguf, "llama.attention.head_count_kv", heads)
    return np.arange(rows).reshape(heads, -1, 2).swapaxes(1, 2).reshape(-1)


def _config(gguf: Gguf) -> dict[str, Any]:
    """What a model's `config.json` says of its shape."""
    architecture = str(gguf.metadata["general.architecture"])
    heads = integer(gguf, f"{architecture}.attention.head_count")
    width = integer(gguf, f"{architecture}.embedding_length")
    return {
        "architectures": [_ARCHITECTURES[architecture]],
        "attention_bias": "blk.0.attn_q.bias" in gguf.tensors,
        "dtype": "float32",
        "head_dim": integer(gguf, f"{architecture}.attention.key_length", width // heads),
        "hidden_act": "silu",
        "hidden_size": width,
        "intermediate_size": gguf.tensors["blk.0.ffn_gate.weight"].shape[1],
        "num_attention_heads": heads,
        "num_hidden_layers": integer(gguf, f"{architecture}.block_count"),
        "num_key_value_heads": integer(gguf, f"{architecture}.attention.head_count_kv", heads),
        "rms_norm_eps": gguf.metadata[f"{architecture}.attention.layer_norm_rms_epsilon"],
        "rope_theta": gguf.metadata.get(f"{architecture}.rope.freq_base", 10_000.0),
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
    }
