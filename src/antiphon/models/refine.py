"""Complete a converted model, and rewrite it into a form that computes faster and says the same.

Only the conversion process imports this module: it loads openvino.
"""

import os
from pathlib import Path

from antiphon.models.gguf import Gguf
from antiphon.models.gguf_attention import attentions
from antiphon.models.graph_attention import set_attention
from antiphon.models.graph_gemma3 import make_gemma3
from antiphon.models.merged_projections import merge_projections
from antiphon.models.row_scales import merge_row_scales
from antiphon.telemetry.optout import block_vendor_telemetry

block_vendor_telemetry()

import openvino as ov  # noqa: E402


def refine(xml: Path, recast: Gguf | None = None) -> None:
    """Replace the model at `xml`, and its weights beside it, if anything in it can be improved.

    `recast` is the file that it was made from, where the converter was shown another architecture: what
    that lacks is put in.

    Raises:
        RuntimeError: openvino cannot read it, or it is not as the converter writes it.
    """
    model = ov.Core().read_model(xml)
    if recast is not None:
        _complete(model, recast)
    if not merge_row_scales(model) + merge_projections(model) and recast is None:
        return
    refined = xml.with_name(f"refined-{xml.name}")
    ov.save_model(model, refined, compress_to_fp16=False)
    del model  # its constants are the old file, mapped
    for new, old in ((refined, xml), (refined.with_suffix(".bin"), xml.with_suffix(".bin"))):
        os.replace(new, old)


def _complete(model: ov.Model, gguf: Gguf) -> None:
    set_attention(model, attentions(gguf))
    if gguf.metadata["general.architecture"] == "gemma3":
        make_gemma3(model, gguf)
