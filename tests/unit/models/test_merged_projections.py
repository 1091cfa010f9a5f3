"""Stacking projections changes how many products there are, never what they give."""

from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13

from antiphon.models.refine import refine

COLUMNS = 64


def projection(source: ov.Output, rows: int, seed: int) -> ov.Node:
    """A product with a random matrix of 8-bit numbers with a scale per row."""
    random = np.random.default_rng(seed)
    numbers = opset13.constant(random.integers(-127, 128, (rows, COLUMNS), dtype=np.int8))
    scales = opset13.constant(random.uniform(0.001, 0.01, (rows, 1)).astype(np.float16))
    weights = opset13.multiply(opset13.convert(numbers, "f16"), scales)
    return opset13.matmul(source, opset13.convert(weights, "f32"), transpose_a=False, transpose_b=True)


def write_layer(xml: Path) -> None:
    """Three projections of one input, of different widths, and one of another input."""
    x = opset13.parameter([-1, COLUMNS], ov.Type.f32)
    same = opset13.relu(x)
    results = [projection(same, rows, seed) for seed, rows in enumerate((32, 8, 8))]
    results.append(projection(opset13.abs(x), 16, 9))
    ov.save_model(ov.Model(results, [x]), xml, compress_to_fp16=False)


def results_of(xml: Path) -> list[NDArray[np.float32]]:
    """What the model gives for a fixed input."""
    model = ov.Core().compile_model(xml, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    x = np.random.default_rng(7).normal(0, 1, (5, COLUMNS)).astype(np.float32)
    results = model(x)
    return [results[index].copy() for index in range(4)]


def products_in(xml: Path) -> int:
    """How many matrix products it takes."""
    return sum(op.get_type_name() == "MatMul" for op in ov.Core().read_model(xml).get_ops())


def test_projections_of_one_input_are_stacked(tmp_path: Path) -> None:
    """Four products become two, with the same results in the same order."""
    xml = tmp_path / "openvino_model.xml"
    write_layer(xml)
    before = results_of(xml)

    refine(xml)

    assert products_in(xml) == 2
    for expected, actual in zip(before, results_of(xml), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)
