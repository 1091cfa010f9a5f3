"""Packed weights are read as the library that defines the format reads them, to the bit."""

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Packing
from hypothesis import given
from hypothesis import strategies as st

from antiphon.models.dequantise import DEQUANTISED, dequantise
from antiphon.models.gguf import TENSOR_TYPES
from antiphon.models.gguf_support import MATRIX_TYPES


def test_every_supported_type_can_be_dequantised() -> None:
    """The list of what is supported and the code agree."""
    assert set(MATRIX_TYPES) == DEQUANTISED.keys()


@pytest.mark.parametrize("name", DEQUANTISED)
@given(data=st.data())
def test_any_blocks_give_the_weights_of_the_reference(name: str, data: st.DataObject) -> None:
    """Random bytes are blocks too: infinite scales, zeros and numbers that are none included."""
    (size,) = (packing.size for packing in TENSOR_TYPES.values() if packing.name == name)
    content = data.draw(st.binary(min_size=3 * size, max_size=3 * size))
    blocks = np.frombuffer(content, np.uint8).reshape(3, size)

    with np.errstate(all="ignore"):
        expected = gguf.quants.dequantize(blocks, Packing[name])
        found = dequantise(name, blocks)

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["BF16", "F32", "Q4_1", "Q5_0", "Q5_1"])
def test_packed_weights_come_back(name: str) -> None:
    """What the reference packed is near what it was packed from."""
    weights = np.random.default_rng(0).normal(0.0, 1.0, (8, 32)).astype(np.float32)
    (packing,) = (packing for packing in TENSOR_TYPES.values() if packing.name == name)

    packed = gguf.quants.quantize(weights, Packing[name]).view(np.uint8).reshape(-1, packing.size)

    np.testing.assert_allclose(dequantise(name, packed).reshape(weights.shape), weights, atol=0.2)
