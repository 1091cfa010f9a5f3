"""The weights that packed blocks stand for, exactly: each as one float32.

A block is a handful of bytes: one or two float16 numbers, small integers packed side by side and,
in the `K` types, packed scales of sub-blocks. Nothing is rounded here; what becomes of the weights
is decided elsewhere.

Source: the block structures of `ggml-common.h` and `dequantize_row_*` of `ggml-quants.c`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Weights = NDArray[np.float32]
_Integers = NDArray[np.integer[Any]]


def dequantise(type_name: str, blocks: Bytes) -> Weights:
    """The weights of `blocks` [blocks, bytes of a block], as [blocks, weights of a block].

    `type_name` is a key of `DEQUANTISED`.
    """
    return DEQUANTISED[type_name](blocks).reshape(len(blocks), -1)


def _f32(blocks: Bytes) -> Weights:
    return blocks.view("<f4")


def _bf16(blocks: Bytes) -> Weights:
    """The upper halves of float32 numbers."""
    return (blocks.view("<u2").astype(np.uint32) << 16).view(np.float32)


def _f16(blocks: Bytes) -> Weights:
    return blocks.view("<f2").astype(np.float32)


def _q8_0(blocks: Bytes) -> Weights:
    return _half(blocks, 0) * blocks[:, 2:].view(np.int8)


def _q4_0(blocks: Bytes) -> Weights:
    return _half(blocks, 0) * (_fields(blocks[:, 2:], 4, run=16) - np.float32(8))


def _q4_1(blocks: Bytes) -> Weights:
    return _half(blocks, 0) * _fields(blocks[:, 4:], 4, run=16) + _half(blocks, 2)


def _q5_0(blocks: Bytes) -> Weights:
    return _half(blocks, 0) * (_five_bits(blocks[:, 2:]) - np.float32(16))


def _q5_1(blocks: Bytes) -> Weights:
    return _half(blocks, 0) * _five_bits(blocks[:, 4:]) + _half(blocks, 2)


_UNEVEN_STEPS: Final = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


def _iq4_nl(blocks: Bytes) -> Weights:
    return _half(blocks, 0) * np.array(_UNEVEN_STEPS, np.float32)[_fields(blocks[:, 2:], 4, run=16)]


def _q3_k(blocks: Bytes) -> Weights:
    """16 sub-blocks of 16 three-bit numbers: highest bits, lower bits, scales, one float16."""
    numbers = _fields(blocks[:, 32:96], 2, run=32) | _fields(blocks[:, :32], 1, run=32) << 2
    scales = _fields(blocks[:, 96:104], 4, run=8) | _fields(blocks[:, 104:108], 2, run=4) << 4
    steps: Weights = _half(blocks, 108) * (scales - np.float32(32))
    return steps[:, :, None] * (numbers.reshape(-1, 16, 16) - np.float32(4))


def _q4_k(blocks: Bytes) -> Weights:
    return _with_minima(blocks, _fields(blocks[:, 16:], 4, run=32))


def _q5_k(blocks: Bytes) -> Weights:
    fifth = _fields(blocks[:, 16:48], 1, run=32)
    return _with_minima(blocks, _fields(blocks[:, 48:], 4, run=32) | fifth << 4)


def _q6_k(blocks: Bytes) -> Weights:
    """16 sub-blocks of 16 six-bit numbers: lower bits, upper bits, signed scales, one float16."""
    numbers = _fields(blocks[:, :128], 4, run=64) | _fields(blocks[:, 128:192], 2, run=32) << 4
    steps = _half(blocks, 208) * blocks[:, 192:208].view(np.int8)
    return steps[:, :, None] * (numbers.reshape(-1, 16, 16) - np.float32(32))


def _with_minima(blocks: Bytes, numbers: _Integers) -> Weights:
    """8 sub-blocks of 32 numbers, each with a scale and a minimum of six bits in bytes 4 to 16."""
    first, second, third = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = np.hstack((first & 63, third & 15 | first >> 6 << 4))
    minima = np.hstack((second & 63, third >> 4 | second >> 6 << 4))
    steps, offsets = _half(blocks, 0) * scales, _half(blocks, 2) * minima
    return steps[:, :, None] * numbers.reshape(-1, 8, 32) - offsets[:, :, None]


def _half(blocks: Bytes, place: int) -> Weights:
    """The float16 number at a byte of every block, as [blocks, 1]."""
    return np.ascontiguousarray(blocks[:, place : place + 2]).view("<f2").astype(np.float32)


def _five_bits(packed: Bytes) -> _Integers:
    """32 numbers whose highest bits stand before the rest of them."""
    return _fields(packed[:, 4:], 4, run=16) | _fields(packed[:, :4], 1, run=1) << 4


def _fields(packed: Bytes, bits: int, run: int) -> _Integers:
    """Small integers packed into bytes: the lowest `bits` of `run` bytes, their next bits, and so on."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    runs = packed.reshape(len(packed), -1, 1, run) >> shifts[:, None]
    return (runs & ((1 << bits) - 1)).reshape(len(packed), -1)


DEQUANTISED: Final[Mapping[str, Callable[[Bytes], Weights]]] = {
    "F32": _f32,
    "F16": _f16,
    "BF16": _bf16,
    "Q3_K": _q3_k,
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q4_K": _q4_k,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
    "Q8_0": _q8_0,
    "IQ4_NL": _iq4_nl,
}
"""By type: every one that is supported."""
