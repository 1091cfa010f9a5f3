"""What a file's metadata says of its layers' attention, and what it means where it does not say."""

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Packing

from antiphon.models.gguf import read_gguf
from antiphon.models.gguf_attention import Attention, attentions, context_length
from tests.tiny_models import TinyModel, write_tiny_model


def attentions_of(model: TinyModel, folder: Path) -> tuple[Attention, ...]:
    """What is read of the model's file."""
    return attentions(read_gguf(write_tiny_model(folder / "m.gguf", model)))


def test_converter_is_left_alone_with_what_it_builds_itself(tmp_path: Path) -> None:
    """A llama's attention is not touched."""
    assert attentions_of(TinyModel(), tmp_path) == ()


def test_every_sixth_layer_of_gemma3_sees_everything_and_is_stretched(tmp_path: Path) -> None:
    """The others have a window and positions that are not stretched."""
    metadata = (
        ("gemma3.attention.sliding_window", 8),
        ("gemma3.rope.scaling.type", "linear"),
        ("gemma3.rope.scaling.factor", 8.0),
    )
    found = attentions_of(
        TinyModel("gemma3", packing=Packing.F16, heads=2, head=4, blocks=12, metadata=metadata), tmp_path
    )

    assert [attention.window for attention in found] == [8, 8, 8, 8, 8, None] * 2
    assert found[0].frequencies == pytest.approx((1, 10_000**-0.5))
    assert found[5].frequencies == pytest.approx((1 / 8, 1_000_000**-0.5 / 8))
    assert {attention.scale for attention in found} == {0.5}


def test_largest_gemma3_scales_by_width_and_heads(tmp_path: Path) -> None:
    """27B is known by its number of blocks, as in llama.cpp."""
    metadata = (("gemma3.attention.sliding_window", 8),)
    found = attentions_of(
        TinyModel("gemma3", packing=Packing.F16, heads=2, head=4, blocks=62, metadata=metadata), tmp_path
    )

    assert {attention.scale for attention in found} == {16**-0.5}


def test_phi3_turns_a_part_of_each_head_by_factors(tmp_path: Path) -> None:
    """What is not turned stays where it is, and is not multiplied either."""
    model = TinyModel(
        "phi3",
        width=32,
        heads=4,
        short_factors=(2.0, 4.0),
        context_length=1000,
        metadata=(
            ("phi3.rope.dimension_count", 4),
            ("phi3.rope.scaling.attn_factor", 1.25),
            ("phi3.rope.scaling.original_context_length", 100),
        ),
    )
    (first, second) = attentions_of(model, tmp_path)

    assert first == second
    assert first.frequencies == pytest.approx((1 / 2, 10_000**-0.5 / 4, 0, 0))
    assert list(first.magnitudes) == [1.25, 1.25, 1, 1]
    assert first.window is None
    assert context_length(read_gguf(tmp_path / "m.gguf")) == 100


@pytest.mark.parametrize(
    ("context", "stated", "expected"),
    [(4096, (), 2047), (8192, (), None), (4096, (0,), None), (4096, (5,), 5)],
)
def test_window_of_phi3(context: int, stated: tuple[int, ...], expected: int | None, tmp_path: Path) -> None:
    """Early files of the model with 4096 positions do not state theirs; 0 is none."""
    metadata = tuple(("phi3.attention.sliding_window", window) for window in stated)
    found = attentions_of(TinyModel("phi3", context_length=context, metadata=metadata), tmp_path)

    assert {attention.window for attention in found} == {expected}
