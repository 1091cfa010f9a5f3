"""The GGUF reader believes nothing that the file's own length does not bear out."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.models.errors import ModelError
from antiphon.models.gguf import read_f32, read_gguf
from tests.tiny_models import TinyModel, write_tiny_model


def _header(tensors: int, pairs: int, body: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs) + body


def _text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _pair(kind: int, value: bytes) -> bytes:
    return _text(b"key") + struct.pack("<I", kind) + value


def test_header_of_a_model_gives_metadata_and_tensors(tiny_gguf: Path) -> None:
    """What the reference writer wrote is read back."""
    gguf = read_gguf(tiny_gguf)

    assert gguf.metadata["general.architecture"] == "llama"
    assert gguf.metadata["llama.context_length"] == 256
    assert gguf.metadata["tokenizer.ggml.merges"] == ("h e", "l l", "he ll", "hell o", "Ġ hello")
    assert gguf.tensors["blk.1.ffn_down.weight"].shape == (64, 32)
    assert gguf.tensors["blk.1.ffn_down.weight"].type_name == "Q4_0"
    assert gguf.tensors["output_norm.weight"].type_name == "F32"


def test_small_vectors_can_be_read(tmp_path: Path) -> None:
    """The numbers come from where the header says they lie."""
    factors = tuple(float(number) for number in range(1, 9))
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(rope_factors=factors))

    assert read_f32(read_gguf(path), "rope_freqs.weight") == factors


def test_missing_file_is_named(tmp_path: Path) -> None:
    """One line, with the path."""
    with pytest.raises(ModelError, match=r"gone\.gguf: cannot be read \(No such file or directory\)"):
        read_gguf(tmp_path / "gone.gguf")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a GGUF file"),
        (b"GGU", "not a GGUF file"),
        (b"PK\x03\x04 a zip", "not a GGUF file"),
        (b"GGUF", "truncated"),
        (_header(0, 0, version=1), "version 1 is not supported"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "version 50331648 is not supported"),
        (_header(2**60, 0), "truncated"),
        (_header(0, 2**60), "truncated"),
        (_header(0, 1, struct.pack("<Q", 2**62)), "truncated"),
        (_header(0, 1, _pair(8, struct.pack("<Q", 2**62))), "truncated"),
        (_header(0, 1, _pair(8, _text(b"\xff"))), "not UTF-8"),
        (_header(0, 1, _pair(77, b"12345678")), "unknown value type 77"),
        (_header(0, 1, _pair(9, struct.pack("<IQ", 4, 2**62))), "truncated"),
        (_header(0, 1, _pair(9, struct.pack("<IQ", 8, 2**62))), "truncated"),
        (_header(0, 1, _pair(9, struct.pack("<IQ", 9, 1))), "array of value type 9"),
        (_header(1, 0, _text(b"t" * 20) + struct.pack("<IQIQ", 0, 1, 0, 0)), "0 dimensions"),
        (_header(1, 0, _text(b"t" * 20) + struct.pack("<IQIQ", 9, 1, 0, 0)), "9 dimensions"),
        (_header(1, 0, _text(b"t") + struct.pack("<IQIQ", 1, 2**63, 0, 0)), "truncated"),
        (_header(1, 0, _text(b"t") + struct.pack("<IQIQ", 1, 1, 0, 2**63)), "truncated"),
        (_header(1, 0, _text(b"t") + struct.pack("<IQIQ", 1, 33, 2, 0)), "impossible shape"),
        (_header(1, 0, _text(b"t") + struct.pack("<IQIQ", 1, 0, 0, 0)), "impossible shape"),
        (_header(1, 0, _text(b"t") + struct.pack("<IQIQ", 1, 1, 0, 5)), "impossible shape"),
        (_header(2, 0, 2 * (_text(b"t") + struct.pack("<IQIQ", 1, 1, 0, 0))), "two tensors are named 't'"),
    ],
)
def test_impossible_header_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    """Counts, lengths and places beyond the file are told, not followed."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)

    with pytest.raises(ModelError, match=message) as caught:
        read_gguf(path)

    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_alignment_must_be_a_power_of_two(tmp_path: Path) -> None:
    """Any other would place the tensors nowhere."""
    path = write_tiny_model(tmp_path / "m.gguf", TinyModel(metadata=(("general.alignmenx", 48),)))
    path.write_bytes(path.read_bytes().replace(b"general.alignmenx", b"general.alignment"))

    with pytest.raises(ModelError, match="alignment"):
        read_gguf(path)


def test_tensors_that_share_their_data_are_refused(tmp_path: Path) -> None:
    """A small file cannot stand for a model that would fill the disk when it is converted."""
    path = tmp_path / "m.gguf"
    tensors = [
        _text(name) + struct.pack("<IQIQ", 1, 64, 0, place) for name, place in ((b"b", 224), (b"a", 0))
    ]
    content = _header(2, 0, b"".join(tensors))
    path.write_bytes(content + bytes(-len(content) % 32) + bytes(700))

    with pytest.raises(ModelError, match="its tensors overlap"):
        read_gguf(path)


@given(share=st.floats(min_value=0.0, max_value=0.999))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_cut_of_a_model_is_refused(share: float, tiny_gguf: Path, tmp_path: Path) -> None:
    """A download that stopped anywhere is never taken for a model."""
    whole = tiny_gguf.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(ModelError):
        read_gguf(cut)


@given(place=st.integers(min_value=4, max_value=7000), value=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_any_changed_byte_gives_a_header_or_a_model_error(
    place: int, value: int, tiny_gguf: Path, tmp_path: Path
) -> None:
    """Nothing else ever comes out of the reader."""
    content = bytearray(tiny_gguf.read_bytes())
    content[place] = value
    path = tmp_path / "changed.gguf"
    path.write_bytes(content)

    try:
        read_gguf(path)
    except ModelError:
        return
