"""The rewritten file says what the first one said, in types that the converter carries over."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Packing

from antiphon.models import gguf_rewrite
from antiphon.models.gguf import read_gguf
from antiphon.models.gguf_rewrite import needs_rewriting, rewrite
from antiphon.models.gguf_support import check_supported
from tests.tiny_models import TinyModel, write_tiny_model


def rewritten(path: Path) -> Path:
    """The rewritten file beside the first one."""
    target = path.with_name("rewritten.gguf")
    rewrite(read_gguf(path), target)
    return target


def metadata(path: Path) -> dict[str, Any]:
    """Everything the file says of itself, as the reference reads it."""
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def weights(path: Path, name: str) -> Any:
    """A tensor's exact weights, as the reference reads them."""
    (tensor,) = (tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == name)
    return gguf.quants.dequantize(np.asarray(tensor.data), tensor.tensor_type)


def test_metadata_and_vectors_stay_as_they_are(tmp_path: Path) -> None:
    """Vocabulary, shapes, norms: only matrices are written in another type."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel("qwen2", packing=Packing.Q4_1))
    before = gguf.GGUFReader(path)

    target = rewritten(path)

    after = gguf.GGUFReader(target)
    assert metadata(target) == metadata(path)
    check_supported(read_gguf(target))
    assert [(t.name, *t.shape) for t in after.tensors] == [(t.name, *t.shape) for t in before.tensors]
    for old, new in zip(before.tensors, after.tensors, strict=True):
        if len(old.shape) == 1:
            assert new.data.tobytes() == old.data.tobytes()
        else:
            assert new.tensor_type == Packing.Q8_0


def test_every_row_has_one_scale_and_is_near_what_it_was(tmp_path: Path) -> None:
    """No weight moves further than half of its row's step, a 127th of the row's largest weight."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(packing=Packing.Q4_K, width=256))
    name = "blk.1.ffn_down.weight"
    exact = weights(path, name)

    target = rewritten(path)

    (tensor,) = (tensor for tensor in gguf.GGUFReader(target).tensors if tensor.name == name)
    scales = np.asarray(tensor.data).reshape(len(exact), -1, 34)[:, :, :2]
    steps = np.abs(exact).max(axis=1, keepdims=True) / 127
    assert (scales == scales[:, :1]).all()
    assert (np.abs(weights(target, name) - exact) <= 0.501 * steps + 127 * steps / 2048).all()


@pytest.mark.parametrize("packing", [Packing.F32, Packing.BF16])
def test_unpacked_weights_become_float16(packing: Packing, tmp_path: Path) -> None:
    """To the nearest, which for BF16 is the very number."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(packing=packing))
    name = "token_embd.weight"

    found = weights(rewritten(path), name)

    np.testing.assert_array_equal(found, weights(path, name).astype(np.float16))


def test_matrices_of_other_types_are_copied(tmp_path: Path) -> None:
    """A file may mix types; what the converter carries over keeps its bytes."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(packing=Packing.Q8_0, output=Packing.Q5_0))

    target = rewritten(path)

    for old, new in zip(gguf.GGUFReader(path).tensors, gguf.GGUFReader(target).tensors, strict=True):
        if old.name != "output.weight":
            assert (new.tensor_type, new.data.tobytes()) == (old.tensor_type, old.data.tobytes())


def test_division_into_chunks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows at a time or all at once: the same bytes."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(packing=Packing.Q5_1))
    at_once = rewritten(path).read_bytes()

    monkeypatch.setattr(gguf_rewrite, "_CHUNK_WEIGHTS", 100)

    assert rewritten(path).read_bytes() == at_once


def test_rows_of_nothing_and_of_next_to_nothing_stay_so(tmp_path: Path) -> None:
    """Rows too small for a float16 step become zero, not infinite."""
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    rows = np.outer(np.array([0.0, 1e-9, 1e-6, 1.0], np.float32), np.ones(32, np.float32))
    writer.add_tensor("m.weight", gguf.quants.quantize(rows, Packing.Q4_1), raw_dtype=Packing.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    found = weights(rewritten(tmp_path / "m.gguf"), "m.weight")

    np.testing.assert_allclose(found, rows, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e6])
@pytest.mark.parametrize("packing", [Packing.F32, Packing.BF16])
def test_weights_that_are_no_numbers_are_refused(value: float, packing: Packing, tmp_path: Path) -> None:
    """A damaged matrix is named instead of giving a model that answers nonsense."""
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    rows = np.zeros((2, 32), np.float32)
    rows[1, 7] = value
    writer.add_tensor("m.weight", gguf.quants.quantize(rows, packing), raw_dtype=packing)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    with pytest.raises(ValueError, match=r"^m\.weight has weights that are infinite or no numbers$"):
        rewritten(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    ("packing", "needed"), [(Packing.Q4_0, False), (Packing.F16, False), (Packing.Q6_K, True)]
)
def test_file_of_safe_types_needs_no_rewriting(packing: Packing, needed: bool, tmp_path: Path) -> None:
    """Such a file is converted as it is."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(packing=packing, width=256, blocks=1))

    assert needs_rewriting(read_gguf(path)) is needed
