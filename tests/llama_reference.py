"""The models we serve as their papers describe them, in plain numpy: what a conversion must agree with.

Weights are dequantised by the `gguf` package. It shares no code with the server and knows nothing of
its engine; it keeps no KV cache and is meant for short texts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class LlamaReference:
    """A model read from a GGUF file."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self._fields = reader.fields
        self._packed = {tensor.name: tensor for tensor in reader.tensors}
        self._architecture = self._fields["general.architecture"].contents()
        self._heads = int(self._stated("attention.head_count"))
        self._kv_heads = int(self._stated("attention.head_count_kv", self._heads))

    def logits(self, tokens: Sequence[int]) -> Array:
        """One row [vocabulary] for each of the tokens."""
        x = self._weights("token_embd")[list(tokens)]
        if self._architecture == "gemma3":
            x = x * np.sqrt(x.shape[-1], dtype=np.float32)
        for block in range(int(self._stated("block_count"))):
            attended = self._attention(block, self._normed(x, f"blk.{block}.attn_norm"))
            x = x + self._normed_if_there(attended, f"blk.{block}.post_attention_norm")
            fed = self._feed_forward(f"blk.{block}", self._normed(x, f"blk.{block}.ffn_norm"))
            x = x + self._normed_if_there(fed, f"blk.{block}.post_ffw_norm")
        last = "output" if "output.weight" in self._packed else "token_embd"
        return self._linear(self._normed(x, "output_norm"), last)

    def _attention(self, number: int, x: Array) -> Array:
        block = f"blk.{number}"
        query, key, value = self._projected(block, x)
        query, key = self._rotated(query, number), self._rotated(key, number)
        shared = self._heads // self._kv_heads
        key, value = key.repeat(shared, axis=1), value.repeat(shared, axis=1)
        scores = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(query.shape[-1])
        distances = np.arange(len(x))[:, None] - np.arange(len(x))
        scores[:, (distances < 0) | (distances >= self._window(number))] = -np.inf
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", shares, value)
        return self._linear(mixed.reshape(len(x), -1), f"{block}.attn_output")

    def _window(self, number: int) -> float:
        """How many positions a token of this block sees. Every sixth block of a gemma3 sees all."""
        window = self._stated("attention.sliding_window", 0)
        return window if window and self._is_windowed(number) else np.inf

    def _is_windowed(self, number: int) -> bool:
        return self._architecture == "phi3" or number % 6 != 5

    def _projected(self, block: str, x: Array) -> tuple[Array, Array, Array]:
        """Queries, keys and values; in a phi3 the rows of one matrix."""
        if self._architecture != "phi3":
            kinds = (("attn_q", self._heads), ("attn_k", self._kv_heads), ("attn_v", self._kv_heads))
            query, key, value = (self._heads_of(block, name, x, heads) for name, heads in kinds)
            return query, key, value
        heads = self._linear(x, f"{block}.attn_qkv").reshape(len(x), self._heads + 2 * self._kv_heads, -1)
        query, key, value = np.split(heads, [self._heads, self._heads + self._kv_heads], axis=1)
        return query, key, value

    def _heads_of(self, block: str, name: str, x: Array, heads: int) -> Array:
        """[tokens, heads, width of a head], normalised where the model does that."""
        split = self._linear(x, f"{block}.{name}").reshape(len(x), heads, -1)
        norm = f"{block}.{name}_norm"
        return self._normed(split, norm) if f"{norm}.weight" in self._packed else split

    def _rotated(self, x: Array, number: int) -> Array:
        """Rotary positions: GGUF files of llama pair neighbours, those of others the halves of a head."""
        tokens = len(x)
        turned_width = int(self._stated("rope.dimension_count", x.shape[-1]))
        x, rest = x[..., :turned_width], x[..., turned_width:]
        frequencies = self._base(number) ** (-np.arange(0, turned_width, 2) / turned_width)
        for factors in ("rope_freqs", "rope_factors_short"):
            if f"{factors}.weight" in self._packed:
                frequencies = frequencies / self._weights(factors)
        turns = np.exp(1j * np.arange(tokens)[:, None] * frequencies)[:, None, :]
        turns = turns * self._stated("rope.scaling.attn_factor", 1.0)
        if self._architecture == "llama":
            pairs = x.reshape(*x.shape[:2], -1, 2)
            turned = (pairs[..., 0] + 1j * pairs[..., 1]) * turns
            return np.stack((turned.real, turned.imag), -1).reshape(x.shape).astype(np.float32)
        first, second = np.split(x, 2, axis=-1)
        turned = (first + 1j * second) * turns
        return np.concatenate((turned.real, turned.imag, rest), -1).astype(np.float32)

    def _base(self, number: int) -> Any:
        """Of the rotary frequencies; a gemma3 has one for windows and one, stretched, for all of a text."""
        base = self._stated("rope.freq_base", 10_000.0)
        return 10_000.0 if self._architecture == "gemma3" and self._is_windowed(number) else base

    def _feed_forward(self, block: str, x: Array) -> Array:
        if self._architecture == "phi3":
            gate, up = np.split(self._linear(x, f"{block}.ffn_up"), 2, axis=-1)
        else:
            gate, up = self._linear(x, f"{block}.ffn_gate"), self._linear(x, f"{block}.ffn_up")
        if self._architecture == "gemma3":
            active = gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3))) / 2
        else:
            active = gate / (1 + np.exp(-gate))
        return self._linear(active * up, f"{block}.ffn_down")

    def _normed_if_there(self, x: Array, name: str) -> Array:
        return self._normed(x, name) if f"{name}.weight" in self._packed else x

    def _normed(self, x: Array, name: str) -> Array:
        epsilon = self._stated("attention.layer_norm_rms_epsilon")
        normed: Array = x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * self._weights(name)
        return normed

    def _linear(self, x: Array, name: str) -> Array:
        product: Array = x @ self._weights(name).T
        return product + self._weights(name, "bias") if f"{name}.bias" in self._packed else product

    def _weights(self, name: str, kind: str = "weight") -> Array:
        tensor = self._packed[f"{name}.{kind}"]
        weights: Array = gguf.quants.dequantize(np.asarray(tensor.data), tensor.tensor_type)
        return weights

    def _stated(self, key: str, default: Any = None) -> Any:
        field = self._fields.get(f"{self._architecture}.{key}")
        return default if field is None else field.contents()


def mean_divergence(expected: Array, found: Array) -> float:
    """How far `found` logits are from the expected ones: the mean Kullback-Leibler divergence, in nats."""
    log_p, log_q = _log_softmax(expected), _log_softmax(found)
    return float(np.mean(np.sum(np.exp(log_p) * (log_p - log_q), axis=-1)))


def _log_softmax(logits: Array) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    normed: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return normed
