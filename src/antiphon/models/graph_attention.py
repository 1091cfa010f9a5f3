"""Give the layers of a converted model the attention that its file asks for.

The converter builds one kind of attention: heads that are turned as a whole, all of the context, one
base. This replaces rotary angles, scale and mask, layer by layer. A window is a mask in the one form
that OpenVINO's paged attention recognises and holds by itself; computed as it stands it says the same.

Only the conversion process imports this module: it loads openvino.

Source: `gpt_oss_sliding_window_pattern` of OpenVINO's `StateManagementPattern`, for the mask's form.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from antiphon.models.gguf_attention import Attention
from antiphon.telemetry.optout import block_vendor_telemetry

block_vendor_telemetry()

import openvino as ov  # noqa: E402
from openvino import opset13  # noqa: E402

_HIDDEN: Final = -65504.0
_Angles = tuple[Any, Any]


def set_attention(model: ov.Model, attentions: Sequence[Attention]) -> None:
    """Make block after block attend as stated, in place.

    Raises:
        RuntimeError: the model is not as the converter writes it.
    """
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    angles: dict[tuple[tuple[float, ...], ...], _Angles] = {}
    masks: dict[int, Any] = {}
    for block, attention in enumerate(attentions):
        old = _above(nodes[f"model.layers.self_attn.add0.layer{block}"].input_value(1), _ATTENTION)
        key = (attention.frequencies, attention.magnitudes)
        if key not in angles:
            angles[key] = _angles(model.input("position_ids"), attention)
        for turned in (old.input_value(0), _above(old.input_value(1), "Concat").input_value(1)):
            _turn_by(turned.get_node(), angles[key])
        mask = old.input_value(3)
        if attention.window is not None:
            if attention.window not in masks:
                masks[attention.window] = _window(model, attention.window)
            mask = masks[attention.window].output(0)
        scale = opset13.constant(np.float32(attention.scale))
        new = opset13.scaled_dot_product_attention(*(old.input_value(i) for i in range(3)), mask, scale)
        ov.utils.replace_node(old, new)
    model.validate_nodes_and_infer_types()


_ATTENTION: Final = "ScaledDotProductAttention"


def _above(output: Any, kind: str) -> Any:
    """The nearest node of a kind up the first inputs."""
    node = output.get_node()
    while node.get_type_name() != kind:
        if not node.get_input_size():
            raise RuntimeError(f"the converted model has no {kind} where one was looked for")
        node = node.input_value(0).get_node()
    return node


def _angles(positions: Any, attention: Attention) -> _Angles:
    """Cosines and sines [batch, 1, tokens, head] for both halves of a head."""
    turns, magnitudes = (
        np.tile(np.array(values, np.float32), 2)[None, None, None]
        for values in (attention.frequencies, attention.magnitudes)
    )
    axes = opset13.constant(np.array([1, 3], np.int64))
    places = opset13.convert(opset13.unsqueeze(positions, axes), ov.Type.f32)
    angles = opset13.multiply(places, opset13.constant(turns))
    cosines, sines = opset13.cos(angles), opset13.sin(angles)
    if np.all(magnitudes == 1):
        return cosines, sines
    return tuple(opset13.multiply(part, opset13.constant(magnitudes)) for part in (cosines, sines))


def _turn_by(turned: Any, angles: _Angles) -> None:
    """Exchange the angles in x * cosines + (x with its halves swapped) * sines."""
    for place, angle in enumerate(angles):
        turned.input_value(place).get_node().input(1).replace_source_output(angle.output(0))


def _window(model: ov.Model, window: int) -> Any:
    """A mask [batch, 1, tokens, keys] that hides what is later, and `window` or more positions earlier."""
    everything = opset13.constant(True)
    queries = opset13.unsqueeze(model.input("position_ids"), opset13.constant(np.array([1, 3], np.int64)))
    mask_shape = opset13.shape_of(model.input("attention_mask"))
    count = opset13.gather(mask_shape, opset13.constant(1), opset13.constant(0))
    keys = opset13.range(opset13.constant(0), count, opset13.constant(1), "i64")
    recent = opset13.greater(keys, opset13.add(queries, opset13.constant(np.int64(-window))))
    seen = opset13.bitwise_and(opset13.bitwise_and(everything, recent), opset13.less_equal(keys, queries))
    seen = opset13.bitwise_and(opset13.bitwise_and(everything, seen), everything)
    seen = opset13.broadcast(seen, opset13.shape_of(seen))
    hidden = opset13.select(seen, np.float32(0), np.float32(_HIDDEN))
    first, end, step, axis = (opset13.constant(np.array([n], np.int64)) for n in (0, 2**31 - 1, 1, 3))
    return opset13.slice(hidden, first, end, step, axis)
