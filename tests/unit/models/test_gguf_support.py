"""Models that cannot be carried over are refused by name, with what would work."""

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Packing

from antiphon.models.errors import ModelError
from antiphon.models.gguf import read_gguf
from antiphon.models.gguf_support import check_supported
from tests.tiny_models import TinyModel, write_tiny_model

_WINDOW = ("gemma3.attention.sliding_window", 8)


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3", "phi3", "gemma3"])
def test_supported_architectures_pass(tmp_path: Path, architecture: str) -> None:
    """Each one on the list is accepted."""
    model = TinyModel(architecture, metadata=(_WINDOW,))

    check_supported(read_gguf(write_tiny_model(tmp_path / "m.gguf", model)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            TinyModel("gemma2"),
            "architecture 'gemma2' is not supported .supported: llama, qwen2, qwen3, phi3, gemma3",
        ),
        (TinyModel("gemma3"), "gemma3.attention.sliding_window is missing"),
        (
            TinyModel("gemma3", metadata=(_WINDOW, ("gemma3.final_logit_softcapping", 30.0))),
            "capped logits .gemma3.final_logit_softcapping. are not supported",
        ),
        (TinyModel("gemma3", metadata=(_WINDOW, ("gemma3.rope.dimension_count", 4))), "part of a head"),
        (TinyModel("gemma3", metadata=(_WINDOW, ("gemma3.rope.scaling.type", "yarn"))), "scaled by 'yarn'"),
        (
            TinyModel("gemma3", metadata=(_WINDOW,), rope_factors=(1.0,)),
            "not a plain gemma3 model: it has a tensor 'rope_freqs.weight'",
        ),
        (TinyModel("phi3", metadata=(("phi3.rope.scaling.type", "yarn"),)), "scaled by 'yarn'"),
        (TinyModel("phi3", metadata=(("phi3.rope.dimension_count", 17),)), "17 rotary dimensions of 16"),
        (TinyModel("phi3", short_factors=(1.0, 2.0)), "rope_factors_short.weight does not fit a head"),
        (
            TinyModel(packing=Packing.TQ1_0, width=256),
            "quantisation type 34 of .*supported: BF16, F16, F32, IQ4_NL, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, "
            "Q5_1, Q5_K, Q6_K, Q8_0",
        ),
        (TinyModel(packing=Packing.Q2_K, width=256), "quantisation Q2_K of"),
        (TinyModel(metadata=(("split.count", 3),)), "split model"),
        (TinyModel(metadata=(("llama.rope.scaling.type", "yarn"),)), "scaled by 'yarn'"),
        (TinyModel(metadata=(("llama.rope.dimension_count", 4),)), "part of a head"),
    ],
)
def test_unsupported_model_is_refused_by_name(tmp_path: Path, model: TinyModel, message: str) -> None:
    """The line says what stands in the way and what would be taken."""
    path = write_tiny_model(tmp_path / "m.gguf", model)

    with pytest.raises(ModelError, match=message) as caught:
        check_supported(read_gguf(path))

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "read", "message"),
    [
        (b"blk.1.attn_q.weight", b"blk.1.attn_x.weight", "no tensor blk.1.attn_q.weight"),
        (b"llama.block_count", b"llama.block_xxxxx", "block_count is missing"),
        (b"general.file_type", b"general.file_xxxx", "general.file_type is missing"),
        (b"llama.attention.head_count\x04", b"llama.attention.head_xxxxx\x04", "head_count is missing"),
        (b"head_count\x04\0\0\0\x02", b"head_count\x04\0\0\0\x04", "attn_k is not of shape .32, 8"),
    ],
)
def test_incomplete_model_is_refused(
    tiny_gguf: Path, tmp_path: Path, written: bytes, read: bytes, message: str
) -> None:
    """What the converter would look for in vain is missed here first."""
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny_gguf.read_bytes().replace(written, read))

    with pytest.raises(ModelError, match=message):
        check_supported(read_gguf(path))
