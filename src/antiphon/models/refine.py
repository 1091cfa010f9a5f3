"""Rewrite a converted model into a form that computes faster and says the same.

Only the conversion process imports this module: it loads openvino.
"""

import os
from pathlib import Path

from antiphon.models.merged_projections import merge_projections
from antiphon.models.row_scales import merge_row_scales
from antiphon.telemetry.optout import block_vendor_telemetry

block_vendor_telemetry()

import openvino as ov  # noqa: E402


def refine(xml: Path) -> None:
    """Replace the model at `xml`, and its weights beside it, if anything in it can be improved.

    Raises:
        RuntimeError: openvino cannot read it.
    """
    model = ov.Core().read_model(xml)
    if not merge_row_scales(model) + merge_projections(model):
        return
    refined = xml.with_name(f"refined-{xml.name}")
    ov.save_model(model, refined, compress_to_fp16=False)
    del model  # its constants are the old file, mapped
    for new, old in ((refined, xml), (refined.with_suffix(".bin"), xml.with_suffix(".bin"))):
        os.replace(new, old)
