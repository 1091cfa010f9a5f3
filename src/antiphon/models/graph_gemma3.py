"""Make a Gemma 3 of a converted model: what it has beside a qwen3, all but its attention.

Embeddings are scaled, what attention and feed-forward part give is normed once more before it is
added, and the gate is a GELU. The norms' weights are taken from the GGUF, where they are already one
more than what the model was trained with; they stay in full precision.

Only the conversion process imports this module: it loads openvino.

Source: `gemma3` of llama.cpp; `Gemma3DecoderLayer` of Hugging Face's transformers.
"""

from typing import Any, Final

import numpy as np

from antiphon.models.gguf import Gguf, read_f32
from antiphon.models.gguf_recast import POST_NORMS
from antiphon.models.gguf_values import integer, number
from antiphon.telemetry.optout import block_vendor_telemetry

block_vendor_telemetry()

import openvino as ov  # noqa: E402
from openvino import opset13  # noqa: E402

_ADDED: Final = ("add0", "add1")
"""The converter's names for where a block adds what attention and feed-forward part give."""


def make_gemma3(model: ov.Model, gguf: Gguf) -> None:
    """Put in what the model lacks, in place.

    Raises:
        RuntimeError: the model is not as the converter writes it.
    """
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    _scale_embeddings(model, integer(gguf, "gemma3.embedding_length") ** 0.5)
    epsilon = number(gguf, "gemma3.attention.layer_norm_rms_epsilon", 1e-6)
    for block in range(integer(gguf, "gemma3.block_count")):
        for added, norm in zip(_ADDED, POST_NORMS, strict=True):
            place = nodes[f"model.layers.self_attn.{added}.layer{block}"].input(1)
            weights = np.array(read_f32(gguf, f"blk.{block}.{norm}.weight"), np.float32)
            normed = _normed(place.get_source_output(), weights, epsilon)
            place.replace_source_output(normed.output(0))
        gate = nodes[f"model.layers.self_attn.mlp.mul.layer{block}"].input_value(0).get_node()
        if gate.get_type_name() != "Swish":
            raise RuntimeError("the converted model has no gate where one was looked for")
        ov.utils.replace_node(gate, opset13.gelu(gate.input_value(0), "tanh"))
    model.validate_nodes_and_infer_types()


def _scale_embeddings(model: ov.Model, factor: float) -> None:
    """Only what is looked up: the vocabulary projection may share the matrix."""
    lookups = [node for node in model.get_ordered_ops() if _is_lookup(node)]
    if len(lookups) != 1:
        raise RuntimeError("the converted model looks up no embeddings, or several times")
    readers = list(lookups[0].output(0).get_target_inputs())
    scaled = opset13.multiply(lookups[0], opset13.constant(np.float32(factor)))
    for reader in readers:
        reader.replace_source_output(scaled.output(0))


def _is_lookup(node: Any) -> bool:
    """Whether it picks rows of a matrix by the tokens' ids."""
    if node.get_type_name() != "Gather":
        return False
    ids = node.input_value(1).get_node()
    return ids.get_type_name() == "Convert" and "input_ids" in ids.input_value(0).get_names()


def _normed(x: Any, weights: Any, epsilon: float) -> Any:
    """Divided by the root of its mean square, as the converter writes norms."""
    squares = opset13.power(x, opset13.constant(np.full((1, 1, 1), 2, np.float32)))
    mean = opset13.reduce_mean(squares, opset13.constant(np.array([-1])), keep_dims=True)
    root = opset13.sqrt(opset13.add(mean, opset13.constant(np.full((1, 1, 1), epsilon, np.float32))))
    inverse = opset13.divide(opset13.constant(np.ones((1, 1, 1), np.float32)), root)
    return opset13.multiply(opset13.multiply(inverse, x), opset13.constant(weights[None, None]))
