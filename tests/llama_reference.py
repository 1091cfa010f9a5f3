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
    """A llama, qwen2 or qwen3 model read from a GGUF file."""

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
        for block in range(int(self._stated("block_count"))):
            x = x + self._attention(f"blk.{block}", self._normed(x, f"blk.{block}.attn_norm"))
            x = x + self._feed_forward(f"blk.{block}", self._normed(x, f"blk.{block}.ffn_norm"))
        last = "output" if "output.weight" in self._packed else "token_embd"
        return self._linear(self._normed(x, "output_norm"), last)

    def _attention(self, block: str, x: Array) -> Array:
        query = self._rotated(self._heads_of(block, "attn_q", x, self._heads))
        key = self._rotated(self._heads_of(block, "attn_k", x, self._kv_heads))
        value = self._heads_of(block, "attn_v", x, self._kv_heads)
        shared = self._heads // self._kv_heads
        key, value = key.repeat(shared, axis=1), value.repeat(shared, axis=1)
        scores = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(query.shape[-1])
        scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", shares, value)
        return self._linear(mixed.reshape(len(x), -1), f"{block}.attn_output")

    def _heads_of(self, block: str, name: str, x: Array, heads: int) -> Array:
        """[tokens, heads, width of a head], normalised where the model does that."""
        split = self._linear(x, f"{block}.{name}").reshape(len(x), heads, -1)
        norm = f"{block}.{name}_norm"
        return self._normed(split, norm) if f"{norm}.weight" in self._packed else split

    def _rotated(self, x: Array) -> Array:
        """Rotary positions: GGUF files of llama pair neighbours, those of qwen the halves of a head."""
        tokens, heads, width = x.shape
        frequencies = self._stated("rope.freq_base", 10_000.0) ** (-np.arange(0, width, 2) / width)
        if "rope_freqs.weight" in self._packed:
            frequencies = frequencies / self._weights("rope_freqs")
        turns = np.exp(1j * np.arange(tokens)[:, None] * frequencies)[:, None, :]
        if self._architecture == "llama":
            pairs = x.reshape(tokens, heads, -1, 2)
            turned = (pairs[..., 0] + 1j * pairs[..., 1]) * turns
            return np.stack((turned.real, turned.imag), -1).reshape(x.shape).astype(np.float32)
        first, second = np.split(x, 2, axis=-1)
        turned = (first + 1j * second) * turns
        return np.concatenate((turned.real, turned.imag), -1).astype(np.float32)

    def _feed_forward(self, block: str, x: Array) -> Array:
        gate = self._linear(x, f"{block}.ffn_gate")
        return self._linear(
            gate / (1 + np.exp(-gate)) * self._linear(x, f"{block}.ffn_up"), f"{block}.ffn_down"
        )

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
