"""Small random-weight GGUF files: real models in every respect but the sense of what they say.

A model here converts in a third of a second and answers in microseconds, so tests of the way from
a file to a running model need no download. The weights depend on the seed alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Packing

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

_FILE_TYPES = {Packing.F32: 0, Packing.F16: 1, Packing.Q4_0: 2, Packing.Q4_1: 3, Packing.Q8_0: 7}
_HALVES: Mapping[Packing, Mapping[int, float]] = {
    Packing.Q2_K: {80: 0.002, 82: 0.006},
    Packing.Q3_K: {108: 0.0012},
    Packing.Q4_K: {0: 0.0003, 2: 0.00225},
    Packing.Q5_K: {0: 0.00015, 2: 0.0023},
    Packing.Q6_K: {208: 0.00004},
    Packing.IQ4_NL: {0: 0.0007},
}
"""For types that the library does not pack: where in a block its float16 numbers stand, and what they
are so that random bytes give weights around zero of about the usual spread."""
_CONTROL, _UNKNOWN, _NORMAL, _USER_DEFINED, _BYTE = 3, 2, 1, 4, 6


@dataclass(frozen=True)
class TinyModel:
    """What to write. `width` must be a multiple of 32 (of 256 for K-quants)."""

    architecture: str = "llama"
    packing: Packing = Packing.Q4_0
    width: int = 32
    heads: int = 2
    kv_heads: int = 1
    blocks: int = 2
    context_length: int = 256
    spread: float = 0.05
    """Standard deviation of the weights; about 0.05 whatever is said, for types the library does not pack."""
    vocabulary: Literal["bytes", "sentencepiece"] = "bytes"
    pre: str = "smollm"
    kept: tuple[str, ...] = ()
    """Further texts that are a token each, the last of a vocabulary of bytes."""
    chat_template: str | None = CHATML
    rope_factors: tuple[float, ...] = ()
    output: Packing | None = None
    """How a vocabulary projection of its own is packed; None: it is the embedding's matrix."""
    metadata: tuple[tuple[str, str | int | float], ...] = ()
    """Further metadata."""
    head: int | None = None
    """Width of a head, where it is stated; None: that of the model by its heads."""
    short_factors: tuple[float, ...] = ()
    """Divisors of rotary frequencies, as those of a Phi-3 with a long context are called."""


def write_tiny_model(path: Path, model: TinyModel | None = None) -> Path:
    """Write the model as GGUF; returns `path`."""
    model = model or TinyModel()
    writer = gguf.GGUFWriter(path, model.architecture)
    _add_shape(writer, model)
    tokens = _add_vocabulary(writer, model)
    _add_weights(writer, model, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_shape(writer: Any, model: TinyModel) -> None:
    writer.add_block_count(model.blocks)
    writer.add_context_length(model.context_length)
    writer.add_embedding_length(model.width)
    writer.add_feed_forward_length(2 * model.width)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1_000_000.0 if model.architecture == "gemma3" else 10_000.0)
    if model.head is not None:
        writer.add_key_length(model.head)
        writer.add_value_length(model.head)
    writer.add_file_type(_FILE_TYPES.get(model.packing, 15))
    for key, value in model.metadata:
        if isinstance(value, str):
            writer.add_string(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_uint32(key, value)


def _add_vocabulary(writer: Any, model: TinyModel) -> list[str]:
    if model.vocabulary == "bytes":
        controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        words = ["he", "ll", "hell", "hello", "Ġhello"]
        tokens = [*controls, *_byte_characters(), *words, *model.kept]
        plain = len(tokens) - len(controls) - len(model.kept)
        types = [_CONTROL] * 3 + [_NORMAL] * plain + [_USER_DEFINED] * len(model.kept)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(model.pre)
        writer.add_token_merges(["h e", "l l", "he ll", "hell o", "Ġ hello"])
    else:
        pieces = ["▁", "h", "e", "l", "o", "he", "ll", "hell", "hello", "▁hello"]
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
        types = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256, *[_NORMAL] * len(pieces)]
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([0.0] * 259 + [-100.0] * 5 + [-5.0, -4.0, -3.0, -2.0, -1.0])
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if model.chat_template is not None:
        writer.add_chat_template(model.chat_template)
    return tokens


def _byte_characters() -> list[str]:
    """The 256 characters that stand for bytes in byte-level vocabularies."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(code) for code in (*printable, *range(0x100, 0x100 + 256 - len(printable)))]


def _add_weights(writer: Any, model: TinyModel, vocab_size: int) -> None:
    random = np.random.default_rng(0)

    def matrix(name: str, rows: int, columns: int, packing: Packing = model.packing) -> None:
        values = random.normal(0.0, model.spread, (rows, columns)).astype(np.float32)
        writer.add_tensor(name, _pack(values, packing, random), raw_dtype=packing)

    def vector(name: str, length: int, centre: float = 1.0) -> None:
        writer.add_tensor(name, random.normal(centre, 0.1, length).astype(np.float32))

    width, head = model.width, model.head or model.width // model.heads
    matrix("token_embd.weight", vocab_size, width)
    vector("output_norm.weight", width)
    if model.output is not None:
        matrix("output.weight", vocab_size, width, model.output)
    for name, factors in (("rope_freqs", model.rope_factors), ("rope_factors_short", model.short_factors)):
        if factors:
            writer.add_tensor(f"{name}.weight", np.array(factors, np.float32))
    if model.short_factors:
        writer.add_tensor("rope_factors_long.weight", np.full(len(model.short_factors), 30, np.float32))
    rows = {
        "attn_q": model.heads * head,
        "attn_k": model.kv_heads * head,
        "attn_v": model.kv_heads * head,
    }
    projections = rows | {"ffn_gate": 2 * width, "ffn_up": 2 * width}
    if model.architecture == "phi3":
        projections = {"attn_qkv": sum(rows.values()), "ffn_up": 4 * width}
    for block in range(model.blocks):
        for name, count in projections.items():
            matrix(f"blk.{block}.{name}.weight", count, width)
        matrix(f"blk.{block}.attn_output.weight", width, model.heads * head)
        matrix(f"blk.{block}.ffn_down.weight", width, 2 * width)
        for name, length, centre in _vectors(model, head, rows):
            vector(f"blk.{block}.{name}", length, centre)


def _vectors(model: TinyModel, head: int, rows: Mapping[str, int]) -> Iterator[tuple[str, int, float]]:
    """Name, length and centre of what a block has beside its matrices."""
    for name in ("attn_norm", "ffn_norm"):
        yield f"{name}.weight", model.width, 1.0
    if model.architecture == "qwen2":
        for name, count in rows.items():
            yield f"{name}.bias", count, 0.0
    if model.architecture in ("qwen3", "gemma3"):
        for name in ("attn_q_norm", "attn_k_norm"):
            yield f"{name}.weight", head, 1.0
    if model.architecture == "gemma3":
        for name in ("post_attention_norm", "post_ffw_norm"):
            yield f"{name}.weight", model.width, 1.0


def _pack(values: Any, packing: Packing, random: np.random.Generator) -> Any:
    if packing not in _HALVES:
        return gguf.quants.quantize(values, packing)
    rows, columns = values.shape
    block, size = gguf.GGML_QUANT_SIZES[packing]
    blocks = random.integers(0, 256, (rows, columns // block, size), dtype=np.uint8)
    for place, value in _HALVES[packing].items():
        blocks[..., place : place + 2] = np.frombuffer(np.float16(value).tobytes(), np.uint8)
    return blocks.reshape(rows, -1)
