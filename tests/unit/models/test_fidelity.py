"""A prepared model computes what its GGUF file says: compared with an independent forward pass."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Packing

from antiphon.config import cache_folder
from antiphon.engine.backend import Slice
from antiphon.engine.backends.openvino import OpenVINOBackend, OpenVINOOptions
from antiphon.models.catalogue import CATALOGUE, DEFAULT_MODEL
from antiphon.models.folder import PreparedModel
from antiphon.models.gguf_support import CONVERTED, MATRIX_TYPES, ROUNDED_BY_ROW, WIDENED
from antiphon.models.prepare import prepare
from antiphon.models.progress import Silent
from antiphon.models.tokenizer import load_tokenizer
from tests.llama_reference import Array, LlamaReference, mean_divergence
from tests.tiny_models import TinyModel, write_tiny_model

pytestmark = pytest.mark.slow

TOKENS = [int(token) for token in np.random.default_rng(0).integers(3, 264, 40)]
TEXT = (
    "The lighthouse keeper climbed the spiral stairs every evening before sunset. At the top he lit the "
    "lamp, wiped the salt from the windows and wrote the weather of the day into a thick grey book. "
    "Nobody had ever asked to read it, but he did not mind."
)

_RUN = """
import json, sys
import numpy as np
from antiphon.telemetry.optout import block_vendor_telemetry
block_vendor_telemetry()
import openvino
exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
model = openvino.Core().compile_model(sys.argv[1], "CPU", exact)
tokens = np.array([json.loads(sys.argv[2])])
positions = np.arange(tokens.size)[None]
feeds = {"input_ids": tokens, "attention_mask": np.ones_like(tokens), "position_ids": positions}
logits = model.create_infer_request().infer(feeds | {"beam_idx": np.zeros(1, np.int32)})["logits"]
np.save(sys.argv[3], logits[0])
"""


def computed_logits(folder: Path, tokens: list[int], scratch: Path) -> Array:
    """What the IR gives in full precision, one row per token, from a process of its own."""
    result = scratch / "logits.npy"
    subprocess.run(
        [sys.executable, "-c", _RUN, folder / "openvino_model.xml", json.dumps(tokens), result],
        check=True,
        timeout=60,
    )
    logits: Array = np.load(result)
    return logits


def tolerance(packing: str) -> float:
    """The divergence in nats that rounding explains; every mistake that was tried gives far more."""
    if packing in ROUNDED_BY_ROW:
        return 1e-3
    # Beside weights in float16 the converter rounds norms and biases to that as well.
    return 1e-5 if packing in ("F16", *WIDENED) else 1e-9


@pytest.mark.parametrize(
    "model",
    [
        *(TinyModel(name, width=64, heads=4, kv_heads=2, spread=0.3) for name in (*CONVERTED, "phi3")),
        *(TinyModel(packing=Packing[name], width=256) for name in MATRIX_TYPES),
        TinyModel(packing=Packing.Q4_K, width=256, output=Packing.Q6_K),
        TinyModel(width=64, spread=0.3, rope_factors=(1.0, 1.5, 2.0, *[8.0] * 13)),
        TinyModel("phi3", width=256, heads=4, kv_heads=2, packing=Packing.Q5_K),
        TinyModel(
            "phi3",
            width=64,
            heads=2,
            spread=0.3,
            short_factors=(1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0),
            metadata=(
                ("phi3.rope.dimension_count", 16),
                ("phi3.rope.scaling.attn_factor", 1.2),
                ("phi3.attention.sliding_window", 7),
            ),
        ),
        TinyModel(
            "gemma3",
            width=64,
            heads=2,
            blocks=7,
            spread=0.3,
            head=64,
            metadata=(("gemma3.attention.sliding_window", 7),),
        ),
    ],
    ids=lambda model: f"{model.architecture}-{model.packing.name}",
)
def test_prepared_model_agrees_with_the_file(model: TinyModel, cache_dir: Path, tmp_path: Path) -> None:
    """Architecture by architecture and type by type, logits differ by rounding only."""
    path = write_tiny_model(tmp_path / "m.gguf", model)

    found = computed_logits(prepare(str(path), cache_dir, Silent()).folder, TOKENS, tmp_path)

    assert mean_divergence(LlamaReference(path).logits(TOKENS), found) < tolerance(model.packing.name)


@pytest.mark.parametrize("architecture", ["phi3", "gemma3"])
def test_paged_attention_holds_windows(architecture: str, cache_dir: Path, tmp_path: Path) -> None:
    """A text many times as long as the window, in one slice, in several and token by token.

    A thousandth of a nat is what keys and values in the type of compute cost.
    """
    model = TinyModel(
        architecture,
        packing=Packing.Q8_0,
        width=64,
        spread=0.3,
        blocks=7,
        head=32,
        metadata=((f"{architecture}.attention.sliding_window", 9),),
    )
    path = write_tiny_model(tmp_path / "m.gguf", model)
    tokens = [int(token) for token in np.random.default_rng(1).integers(3, 264, 100)]
    folder = prepare(str(path), cache_dir, Silent()).folder
    backend = OpenVINOBackend(OpenVINOOptions(folder, kv_cache_bytes=1 << 22))

    found = [_paged_logits(backend, tokens, sizes) for sizes in ([100], [40, 60], [70, *[1] * 30])]

    expected = LlamaReference(path).logits(tokens)
    assert np.array_equal(found[0], found[1])
    assert all(mean_divergence(expected, logits) < 1e-3 for logits in found)


def _paged_logits(backend: OpenVINOBackend, tokens: list[int], sizes: list[int]) -> Array:
    """One row per token, computed in slices of the given sizes."""
    rows, start = [], 0
    for size in sizes:
        pages = list(range(-(-(start + size) // backend.page_tokens)))
        rows.append(backend.forward([Slice(tokens[start : start + size], start, pages, size)]).copy())
        start += size
    return np.concatenate(rows)


@pytest.mark.model
def test_default_model_agrees_with_the_file(prepared_model: PreparedModel) -> None:
    """What the engine's backend computes token by token is what the exact weights give.

    0.03 nats are three times what 8-bit rows, keys and values cost, and a tenth of what rounding the
    file's minima would.
    """
    tokens = load_tokenizer(prepared_model.folder).encode_plain(TEXT)
    entry = CATALOGUE[DEFAULT_MODEL]
    file = cache_folder() / "models" / entry.name / entry.file_name
    backend = OpenVINOBackend(OpenVINOOptions(prepared_model.folder, kv_cache_bytes=64 << 20))
    pages = list(range(-(-len(tokens) // backend.page_tokens)))

    found = [
        backend.forward([Slice([token], place, pages[: place // backend.page_tokens + 1], True)])[0].copy()
        for place, token in enumerate(tokens)
    ]

    assert mean_divergence(LlamaReference(file).logits(tokens), np.array(found)) < 0.03
