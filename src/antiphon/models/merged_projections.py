"""Give projections of the same input one matrix: query, key and value; gate and up.

A layer of a small model spends much of a decode step on starting its many matrix products. Those
that read the same activations are stacked into one product, whose result is split again: the same
sums, fewer starts. Only matrices of signed 8-bit numbers with a scale per row are stacked, which is
what `row_scales` makes.

Only the conversion process imports this module: it loads openvino.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.telemetry.optout import block_vendor_telemetry

block_vendor_telemetry()

import openvino as ov  # noqa: E402
from openvino import opset13  # noqa: E402


@dataclass(frozen=True, slots=True)
class _Projection:
    """A product of activations with a constant matrix [rows, columns], and its parts."""

    product: Any
    numbers: NDArray[np.int8]
    scales: NDArray[np.float16]

    @property
    def rows(self) -> int:
        """Width of the result."""
        return int(self.numbers.shape[0])


def merge_projections(model: ov.Model) -> int:
    """Stack what can be stacked, in place; returns how many products were saved."""
    by_input: dict[tuple[str, int], list[_Projection]] = defaultdict(list)
    for projection in _projections(model):
        source = projection.product.input_value(0)
        by_input[source.get_node().get_name(), source.get_index()].append(projection)
    siblings = [group for group in by_input.values() if len(group) > 1]
    for group in siblings:
        _stack(group)
    model.validate_nodes_and_infer_types()
    return sum(len(group) - 1 for group in siblings)


def _projections(model: ov.Model) -> Iterable[_Projection]:
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or not node.get_attributes()["transpose_b"]:
            continue
        parts = _row_scaled(node.input_value(1).get_node())
        if parts is not None:
            yield _Projection(node, *parts)


def _row_scaled(weights: Any) -> tuple[NDArray[np.int8], NDArray[np.float16]] | None:
    """Numbers and scales behind convert(convert(numbers) * scales), if that is what `weights` is."""
    chain = ("Convert", "Multiply", "Convert", "Constant")
    nodes = [weights]
    for _ in chain[1:]:
        if not nodes[-1].get_input_size():
            return None
        nodes.append(nodes[-1].input_value(0).get_node())
    if tuple(n.get_type_name() for n in nodes) != chain:
        return None
    numbers, scales = nodes[-1], nodes[1].input_value(1).get_node()
    plain = scales.get_type_name() == "Constant" and len(numbers.shape) == 2
    return (numbers.data, scales.data) if plain and numbers.get_element_type() == ov.Type.i8 else None


def _stack(group: Sequence[_Projection]) -> None:
    numbers = opset13.constant(np.concatenate([p.numbers for p in group]))
    scales = opset13.constant(np.concatenate([p.scales for p in group]))
    weights = opset13.multiply(opset13.convert(numbers, scales.get_element_type()), scales)
    first = group[0].product
    product = opset13.matmul(
        first.input_value(0),
        opset13.convert(weights, first.input_value(1).get_element_type()),
        transpose_a=False,
        transpose_b=True,
    )
    widths = opset13.constant(np.array([p.rows for p in group], np.int64))
    parts = opset13.variadic_split(product, opset13.constant(np.int64(-1)), widths)
    for index, projection in enumerate(group):
        for reader in list(projection.product.output(0).get_target_inputs()):
            reader.replace_source_output(parts.output(index))
