"""Read a GGUF file's header: its metadata and where its tensors lie.

Model files come from strangers and are next handed to native code, so nothing in the header is
believed before it was compared with the file's real length: no count, length or offset makes this
reader allocate, loop or look further than the file goes. Tensor data itself is not read.

Source: the GGUF specification, versions 2 and 3, little-endian.
"""

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from antiphon.models.errors import ModelError

Value = int | float | bool | str | tuple[int, ...] | tuple[float, ...] | tuple[bool, ...] | tuple[str, ...]

_SCALARS: Final[Mapping[int, struct.Struct]] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING: Final = 8
_ARRAY: Final = 9

_MAX_DIMENSIONS: Final = 4
_SMALLEST_PAIR_BYTES: Final = 8 + 4 + 1
_SMALLEST_TENSOR_BYTES: Final = 8 + 4 + 8 + 4 + 8


@dataclass(frozen=True, slots=True)
class TensorType:
    """How weights are packed: `block` of them take `size` bytes."""

    name: str
    block: int
    size: int


TENSOR_TYPES: Final[Mapping[int, TensorType]] = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    30: TensorType("BF16", 1, 2),
}
"""The types in circulation; one that is not here is reported by its number."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor's place: `shape` is fastest dimension first, `type` a key of `TENSOR_TYPES` or unknown."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    """Bytes from the start of the tensor data."""

    @property
    def type_name(self) -> str:
        """The type as people write it, or its number."""
        known = TENSOR_TYPES.get(self.type)
        return known.name if known else f"type {self.type}"

    @property
    def byte_count(self) -> int:
        """How long its data is. Its type must be known."""
        packing = TENSOR_TYPES[self.type]
        return math.prod(self.shape) // packing.block * packing.size


@dataclass(frozen=True, slots=True)
class Gguf:
    """A GGUF file's header."""

    path: Path
    metadata: Mapping[str, Value]
    tensors: Mapping[str, Tensor]
    tensors_start: int
    """Where in the file the list of tensors begins: right behind the metadata."""
    data_start: int
    """Where in the file the tensor data begins."""

    @property
    def alignment(self) -> int:
        """Every tensor's data begins at a multiple of so many bytes."""
        return _alignment(self.metadata)


def read_f32(gguf: Gguf, name: str) -> tuple[float, ...]:
    """The numbers of a small F32 vector, which `gguf.tensors` must have."""
    tensor = gguf.tensors[name]
    count = math.prod(tensor.shape)
    with gguf.path.open("rb") as file:
        file.seek(gguf.data_start + tensor.offset)
        return struct.unpack(f"<{count}f", file.read(4 * count))


def read_gguf(path: Path) -> Gguf:
    """Read and check a header.

    Raises:
        ModelError: the file cannot be read, is no GGUF, or is damaged or cut short.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelError(f"{path}: not a GGUF file (wanted: a .gguf file, or an OpenVINO folder)")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _read_header(path, _Cursor(path, data))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


class _Cursor:
    """A position in the file that refuses to pass its end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self.position = 4  # after the magic

    @property
    def remaining(self) -> int:
        return len(self._data) - self.position

    def damaged(self, what: str) -> ModelError:
        return ModelError(f"{self._path}: damaged GGUF file ({what})")

    def truncated(self) -> ModelError:
        return ModelError(
            f"{self._path}: truncated GGUF file ({len(self._data)} bytes are too few): download it again"
        )

    def _take(self, count: int) -> int:
        """Step over `count` bytes; return where they begin."""
        if count > self.remaining:
            raise self.truncated()
        start = self.position
        self.position += count
        return start

    def scalar(self, kind: int) -> int | float | bool:
        layout = _SCALARS[kind]
        value: int | float | bool = layout.unpack_from(self._data, self._take(layout.size))[0]
        return value

    def u32(self) -> int:
        return int(self.scalar(4))

    def u64(self) -> int:
        return int(self.scalar(10))

    def string(self) -> str:
        length = self.u64()
        start = self._take(length)
        try:
            return self._data[start : start + length].decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.damaged("a text is not UTF-8") from error

    def value(self) -> Value:
        kind = self.u32()
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array()
        if kind in _SCALARS:
            return self.scalar(kind)
        raise self.damaged(f"unknown value type {kind}")

    def _array(self) -> Value:
        kind, count = self.u32(), self.u64()
        if kind == _STRING:
            if count * 8 > self.remaining:
                raise self.truncated()
            return tuple(self.string() for _ in range(count))
        if kind not in _SCALARS:
            raise self.damaged(f"an array of value type {kind}")
        layout = _SCALARS[kind]
        start = self._take(count * layout.size)
        values: Value = struct.unpack_from(f"<{count}{layout.format[1:]}", self._data, start)
        return values


def _read_header(path: Path, cursor: _Cursor) -> Gguf:
    version = cursor.u32()
    if version not in (2, 3):
        raise ModelError(f"{path}: GGUF version {version} is not supported (supported: 2, 3, little-endian)")
    tensor_count, pair_count = cursor.u64(), cursor.u64()
    if tensor_count * _SMALLEST_TENSOR_BYTES + pair_count * _SMALLEST_PAIR_BYTES > cursor.remaining:
        raise cursor.truncated()
    metadata: dict[str, Value] = {}
    for _ in range(pair_count):
        key = cursor.string()
        metadata[key] = cursor.value()
    tensors_start = cursor.position
    tensors: dict[str, Tensor] = {}
    for _ in range(tensor_count):
        tensor = _read_tensor(cursor)
        if tensor.name in tensors:
            raise cursor.damaged(f"two tensors are named {tensor.name[:80]!r}")
        tensors[tensor.name] = tensor
    data_start = _check_places(cursor, _alignment(metadata), tensors)
    return Gguf(path, metadata, tensors, tensors_start, data_start)


def _alignment(metadata: Mapping[str, Value]) -> int:
    """0 if the file states something that is none."""
    alignment = metadata.get("general.alignment", 32)
    return alignment if isinstance(alignment, int) else 0


def _read_tensor(cursor: _Cursor) -> Tensor:
    name = cursor.string()
    dimensions = cursor.u32()
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise cursor.damaged(f"a tensor of {dimensions} dimensions")
    shape = tuple(cursor.u64() for _ in range(dimensions))
    return Tensor(name, shape, type=cursor.u32(), offset=cursor.u64())


def _check_places(cursor: _Cursor, alignment: int, tensors: Mapping[str, Tensor]) -> int:
    """Every tensor of a known type must lie inside the file, behind the one before it.

    Returns where the tensor data begins.
    """
    if alignment <= 0 or alignment & (alignment - 1):
        raise cursor.damaged("its alignment is no power of two")
    padding = -cursor.position % alignment
    room = cursor.remaining - padding
    end = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.offset):
        packing = TENSOR_TYPES.get(tensor.type)
        if packing is None:
            continue  # nobody can use it; the model is refused by its type
        if tensor.offset % alignment or 0 in tensor.shape or tensor.shape[0] % packing.block:
            raise cursor.damaged(f"tensor {tensor.name[:80]!r} has an impossible shape or place")
        if tensor.offset < end:
            raise cursor.damaged("its tensors overlap")
        end = tensor.offset + tensor.byte_count
        if end > room:
            raise cursor.truncated()
    return cursor.position + padding
