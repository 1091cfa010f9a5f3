"""A GGUF's 4-bit weights written anew as Q4_0, which llama.cpp's CPU kernels repack and run fastest.

Rounding is ggml's reference one (`gguf.quants`), as in `llama-quantize --allow-requantize`; tensors
that are not 4-bit stay as they are, as they would there for this model's row width.
"""

import os
from pathlib import Path

from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.gguf_reader import ReaderField, ReaderTensor
from gguf.quants import dequantize, quantize

from antiphon.config import cache_folder
from bench.servers.peer import Model

_FOUR_BIT = {GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q4_K}
_WRITTEN_BY_WRITER = {"general.architecture", "general.file_type"}


def requantised(model: Model) -> Path:
    """The path of the Q4_0 version, made once (seconds) in the user's cache folder."""
    target = cache_folder() / "bench" / f"{model.gguf.stem}-{model.digest[:16]}-requantised-Q4_0.gguf"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        write_q4_0(model.gguf, part)
        os.replace(part, target)
    return target


def write_q4_0(source: Path, target: Path) -> None:
    """Write the Q4_0 version of `source` to `target`."""
    reader = GGUFReader(source)
    writer = GGUFWriter(target, arch=str(reader.fields["general.architecture"].contents()))
    writer.add_file_type(LlamaFileType.MOSTLY_Q4_0)
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in _WRITTEN_BY_WRITER:
            _copy_field(writer, name, field)
    for tensor in reader.tensors:
        _add_tensor(writer, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_field(writer: GGUFWriter, name: str, field: ReaderField) -> None:
    items = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
    writer.add_key_value(name, field.contents(), field.types[0], items)


def _add_tensor(writer: GGUFWriter, tensor: ReaderTensor) -> None:
    data, kind = tensor.data, tensor.tensor_type
    if kind in _FOUR_BIT:
        data, kind = quantize(dequantize(data, kind), GGMLQuantizationType.Q4_0), GGMLQuantizationType.Q4_0
    writer.add_tensor(tensor.name, data, raw_dtype=kind)
