"""The process that `convert` runs: a GGUF in, OpenVINO IR out, within one folder.

    matrices in types that survive ─▶ openvino-genai's converter ─▶ what it lacks, in a faster form

This is the one module that imports `openvino_genai`, and nothing but a process of its own imports it.
"""

import sys
from pathlib import Path

from antiphon.models.folder import IR_FILES
from antiphon.models.gguf import read_gguf
from antiphon.models.gguf_recast import is_recast
from antiphon.models.gguf_rewrite import needs_rewriting, rewrite
from antiphon.models.refine import refine
from antiphon.telemetry.optout import block_vendor_telemetry

block_vendor_telemetry()

import openvino_genai  # noqa: E402


def main(source: Path, scratch: Path) -> None:
    """Write the IR files of the GGUF `source` into `scratch`."""
    gguf = read_gguf(source)
    model, xml = scratch / "model.gguf", scratch / IR_FILES[0]
    if needs_rewriting(gguf):
        rewrite(gguf, model)
    else:
        model.symlink_to(source.resolve())  # results are written beside the GGUF
    _write_ir(model, xml)
    model.unlink()  # makes room for a second copy of the weights
    refine(xml, gguf if is_recast(gguf) else None)


def _write_ir(model: Path, xml: Path) -> None:
    try:
        # Saving is a step on the way to a pipeline. We want none, so it is asked for on no device.
        openvino_genai.LLMPipeline(str(model), "NONE", enable_save_ov_model=True)
    except Exception:  # native code raises no narrower common class
        # Here it always ends, or earlier where it meets a tokenizer it does not know. We bring our own.
        if not xml.is_file():
            raise


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
