"""Merging scales changes how weights are stored, never what they are."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset13

from antiphon.models.refine import refine

ROWS, GROUPS, COLUMNS = 5, 3, 32


def write_grouped(xml: Path, scales: NDArray[np.float16], zero_point: int = 128) -> None:
    """Save a model that returns a matrix of 8-bit groups, as the converter writes them."""
    random = np.random.default_rng(0)
    numbers = random.integers(0, 256, (ROWS, GROUPS, COLUMNS), dtype=np.uint8)
    zeros = np.full((ROWS, GROUPS, 1), zero_point, np.uint8)
    shifted = opset13.subtract(
        opset13.convert(opset13.constant(numbers), "f16"), opset13.convert(opset13.constant(zeros), "f16")
    )
    scaled = opset13.multiply(shifted, opset13.constant(scales))
    whole = opset13.reshape(scaled, opset13.constant([ROWS, GROUPS * COLUMNS]), special_zero=False)
    x = opset13.parameter([1, GROUPS * COLUMNS], ov.Type.f32)
    product = opset13.matmul(x, opset13.convert(whole, "f32"), transpose_a=False, transpose_b=True)
    ov.save_model(ov.Model([product], [x]), xml, compress_to_fp16=False)


def columns_of(xml: Path) -> NDArray[np.float32]:
    """The matrix, read off by multiplying unit vectors in full precision."""
    model = ov.Core().compile_model(xml, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    units = np.eye(GROUPS * COLUMNS, dtype=np.float32)
    return np.array([model(unit[None])[0][0] for unit in units])


def stored_types(xml: Path) -> set[tuple[str, tuple[int, ...]]]:
    """Element type and shape of every constant with more than one number."""
    constants = (op for op in ov.Core().read_model(xml).get_ops() if op.get_type_name() == "Constant")
    return {(op.get_element_type().get_type_name(), tuple(op.shape)) for op in constants if op.data.size > 2}


def test_equal_scales_of_a_row_become_one(tmp_path: Path) -> None:
    """The same weights to the bit, as signed numbers with a scale per row."""
    xml = tmp_path / "openvino_model.xml"
    per_row = np.array([0.5, 0.001, 3.0, 0.25, 0.1], np.float16).reshape(ROWS, 1, 1)
    write_grouped(xml, np.repeat(per_row, GROUPS, axis=1))
    before = columns_of(xml)

    refine(xml)

    np.testing.assert_array_equal(columns_of(xml), before)
    assert stored_types(xml) == {("i8", (ROWS, GROUPS * COLUMNS)), ("f16", (ROWS, 1))}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["openvino_model.bin", "openvino_model.xml"]


@pytest.mark.parametrize(("changed_scale", "zero_point"), [(0.75, 128), (0.5, 127)])
def test_other_matrices_stay_as_they_are(changed_scale: float, zero_point: int, tmp_path: Path) -> None:
    """One group with another scale, or another zero point: not a byte of the files changes."""
    xml = tmp_path / "openvino_model.xml"
    scales = np.full((ROWS, GROUPS, 1), 0.5, np.float16)
    scales[2, 1] = changed_scale
    write_grouped(xml, scales, zero_point)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    refine(xml)

    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_unreadable_model_is_an_error(tmp_path: Path) -> None:
    """What the converter left unfinished is not taken for a model."""
    (tmp_path / "openvino_model.xml").write_text("<net")

    with pytest.raises(RuntimeError):
        refine(tmp_path / "openvino_model.xml")
