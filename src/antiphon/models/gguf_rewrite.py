"""Write a GGUF anew with every matrix in a type that the converter carries over exactly.

The converter does not know the types of three and five bits, rounds the minima of Q4_1 and Q4_K
blocks to whole steps, and makes of Q6_K what runs slowly. Such matrices are dequantised and stored
as Q8_0 whose blocks have the same scale all along a row; `row_scales` later makes one scale of them.
F32 and BF16 become F16. Everything else is copied byte for byte. Which tensors there are, under which
names and with which rows, is said by `gguf_recast`.

Invariant: memory does not grow with the model; a few million weights are in it at a time.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from antiphon.models.dequantise import Bytes, Weights, dequantise
from antiphon.models.gguf import TENSOR_TYPES, Gguf, Tensor
from antiphon.models.gguf_recast import Part, header, is_recast, parts
from antiphon.models.gguf_support import ROUNDED_BY_ROW, WIDENED

_F16: Final = 1
_Q8_0: Final = 8
_LARGEST_F16: Final = 65504.0
_SMALLEST_F16: Final = np.float16(2**-24)
_CHUNK_WEIGHTS: Final = 1 << 21


def needs_rewriting(gguf: Gguf) -> bool:
    """Whether the converter would refuse or round a matrix of the file, or does not know its architecture."""
    return is_recast(gguf) or any(_new_type(tensor) != tensor.type for tensor in gguf.tensors.values())


def rewrite(gguf: Gguf, target: Path) -> None:
    """Write the model to `target`, which takes about a byte per weight.

    `gguf` must have passed `check_supported`.

    Raises:
        ValueError: naming a matrix whose weights are not all finite, or too large for F16.
    """
    source = np.memmap(gguf.path, np.uint8, mode="r")
    written = parts(gguf)
    with target.open("wb") as file:
        file.write(header(gguf, len(written)) if is_recast(gguf) else source[: gguf.tensors_start].data)
        offset = 0
        for part in written:
            tensor = Tensor(part.name, part.shape, _new_type(part.source), offset)
            file.write(_entry(tensor))
            offset += tensor.byte_count + -tensor.byte_count % gguf.alignment
        for part in written:
            _pad(file, gguf.alignment)
            start = gguf.data_start + part.source.offset
            for chunk in _new_data(part, source[start : start + part.source.byte_count]):
                file.write(chunk.data)
        _pad(file, gguf.alignment)


def _new_type(tensor: Tensor) -> int:
    if len(tensor.shape) == 1:
        return tensor.type
    if tensor.type_name in ROUNDED_BY_ROW:
        return _Q8_0
    return _F16 if tensor.type_name in WIDENED else tensor.type


def _entry(tensor: Tensor) -> bytes:
    """The tensor's line in the list of tensors."""
    name, rank = tensor.name.encode(), len(tensor.shape)
    layout = f"<Q{len(name)}sI{rank}QIQ"
    return struct.pack(layout, len(name), name, rank, *tensor.shape, tensor.type, tensor.offset)


def _pad(file: BinaryIO, alignment: int) -> None:
    file.write(bytes(-file.tell() % alignment))


def _new_data(part: Part, data: Bytes) -> Iterator[NDArray[np.uint8] | NDArray[np.float16]]:
    """The part's data as its new type has it, some rows at a time."""
    tensor, new_type = part.source, _new_type(part.source)
    if new_type == tensor.type and part.rows is None:
        yield data
        return
    columns = tensor.shape[0]
    rows = data.reshape(math.prod(tensor.shape) // columns, -1)
    step = max(1, _CHUNK_WEIGHTS // columns)
    for first in range(0, math.prod(part.shape[1:]), step):
        chosen = slice(first, first + step) if part.rows is None else part.rows[first : first + step]
        packed = np.ascontiguousarray(rows[chosen])
        yield packed if new_type == tensor.type else _converted(tensor, packed, new_type)


def _converted(tensor: Tensor, rows: Bytes, new_type: int) -> NDArray[np.uint8] | NDArray[np.float16]:
    """Some rows of a tensor's blocks in another type."""
    blocks = rows.reshape(-1, TENSOR_TYPES[tensor.type].size)
    weights = dequantise(tensor.type_name, blocks).reshape(len(rows), tensor.shape[0])
    peaks = np.abs(weights).max(axis=1, keepdims=True)
    if not np.all(peaks <= _LARGEST_F16):  # false also for what is not a number
        raise ValueError(f"{tensor.name} has weights that are infinite or no numbers")
    return weights.astype(np.float16) if new_type == _F16 else _rounded_by_row(weights, peaks)


def _rounded_by_row(weights: Weights, peaks: Weights) -> Bytes:
    """The weights [rows, columns] as Q8_0 blocks that share one scale per row; `peaks` are [rows, 1]."""
    scales = np.maximum((peaks / 127).astype(np.float16), _SMALLEST_F16)
    # A scale that was rounded down leaves the largest weights a little above 127 steps.
    numbers = np.rint(weights / scales).clip(-127, 127).astype(np.int8)
    packing = TENSOR_TYPES[_Q8_0]
    blocks = np.empty((len(weights), weights.shape[1] // packing.block, packing.size), np.uint8)
    blocks[:, :, :2] = scales.view(np.uint8)[:, None, :]
    blocks[:, :, 2:] = numbers.view(np.uint8).reshape(*blocks.shape[:2], packing.block)
    return blocks
