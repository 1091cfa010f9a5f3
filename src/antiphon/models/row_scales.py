"""Give matrices whose groups of columns share one scale per row that form: same weights, less work.

The converter writes an 8-bit matrix as unsigned numbers in groups of 32 columns, with a scale and a
zero point for each group. Where the groups of every row agree (`gguf_rewrite` makes such), signed
numbers with a scale per row say the same and are multiplied faster. Nothing is rounded here.

Only the conversion process imports this module: it loads openvino.
"""

from typing import Final

import numpy as np

from antiphon.telemetry.optout import block_vendor_telemetry

block_vendor_telemetry()

import openvino as ov  # noqa: E402
from openvino import opset13  # noqa: E402
from openvino.passes import Manager, Matcher, MatcherPass, WrapType  # noqa: E402

_ZERO_POINT: Final = 128


def merge_row_scales(model: ov.Model) -> int:
    """Merge what can be merged, in place; returns how many matrices were."""
    merge = _MergeRowScales()
    passes = Manager()
    passes.register_pass(merge)
    passes.run_passes(model)
    return merge.count


class _MergeRowScales(MatcherPass):  # type: ignore[misc]  # openvino does not type its passes
    """Matches reshape((numbers - zero points) * scales) with everything constant."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._numbers, self._zeros, self._scales = (WrapType("opset13.Constant") for _ in range(3))
        numbers = WrapType("opset13.Convert", [self._numbers])
        zeros = WrapType("opset13.Convert", [self._zeros])
        shifted = WrapType("opset13.Subtract", [numbers.output(0), zeros.output(0)])
        scaled = WrapType("opset13.Multiply", [shifted.output(0), self._scales.output(0)])
        shape = WrapType("opset13.Constant")
        whole = WrapType("opset13.Reshape", [scaled.output(0), shape.output(0)])
        self.register_matcher(Matcher(whole, "MergeRowScales"), self._merge)

    def _merge(self, matcher: Matcher) -> bool:
        found = matcher.get_pattern_value_map()
        numbers, zeros, scales = (
            found[place].get_node() for place in (self._numbers, self._zeros, self._scales)
        )
        if numbers.get_element_type() != ov.Type.u8 or np.any(zeros.data != _ZERO_POINT):
            return False
        if np.any(scales.data != scales.data[:, :1]):
            return False
        whole = matcher.get_match_root()
        # Unsigned numbers around 128 and signed ones around 0 differ in their highest bit.
        signed = (numbers.data ^ _ZERO_POINT).view(np.int8).reshape(list(whole.shape))
        per_row = np.ascontiguousarray(scales.data[:, 0])
        converted = opset13.convert(opset13.constant(signed), scales.get_element_type())
        merged = opset13.multiply(converted, opset13.constant(per_row))
        ov.utils.replace_node(whole, merged)
        self.count += 1
        return True
