"""Turn a GGUF into OpenVINO IR, in a process of its own.

The conversion is native code that reads a stranger's file: if it crashes, hangs on to memory or
prints, only that process (`converter`) is concerned. The tokenizer models it also writes are not
used and thrown away.
"""

import os
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from antiphon.models.errors import ModelError
from antiphon.models.folder import IR_FILES
from antiphon.models.gguf import Gguf, read_f32
from antiphon.models.gguf_support import ROPE_FACTORS


def convert(gguf: Gguf, folder: Path, scratch: Path) -> None:
    """Write `openvino_model.xml` and `.bin` for the model into `folder`, working in `scratch`.

    While it runs `scratch` takes two bytes per weight, four where weights become F16.

    Raises:
        ModelError: the converter failed or died.
    """
    log = scratch / "log"
    with log.open("wb") as output:
        status = subprocess.run(
            [sys.executable, "-m", "antiphon.models.converter", str(gguf.path), str(scratch)],
            env=os.environ | {"TMPDIR": str(scratch)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if status != 0:
        raise ModelError(f"{gguf.path}: the conversion to OpenVINO failed ({_reason(status, log)})")
    if ROPE_FACTORS in gguf.tensors:
        _scale_rope(gguf, scratch)
    for name in IR_FILES:
        os.replace(scratch / name, folder / name)


def _reason(status: int, log: Path) -> str:
    if status < 0:
        return f"killed by signal {-status}"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else f"exit code {status}"


def _scale_rope(gguf: Gguf, scratch: Path) -> None:
    """Divide the rotary frequencies by the model's factors, which the converter leaves out.

    The frequencies are the one f32 constant of shape [1, head width / 2, 1]; it is changed in place.
    """
    factors = read_f32(gguf, ROPE_FACTORS)
    shape = f"1, {len(factors)}, 1"
    layers = ElementTree.parse(scratch / IR_FILES[0]).iterfind("./layers/layer[@type='Const']/data")
    places = [layer for layer in layers if (layer.get("shape"), layer.get("element_type")) == (shape, "f32")]
    if len(places) != 1:
        raise ModelError(f"{gguf.path}: its scaled rotary positions do not fit the model")
    layout = struct.Struct(f"<{len(factors)}f")
    with (scratch / IR_FILES[1]).open("r+b") as weights:
        weights.seek(int(places[0].get("offset", "0")))
        pairs = zip(layout.unpack(weights.read(layout.size)), factors, strict=True)
        weights.seek(-layout.size, os.SEEK_CUR)
        weights.write(layout.pack(*(frequency / factor for frequency, factor in pairs)))
