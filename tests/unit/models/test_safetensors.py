"""A GGUF's weights under the names, and in the order, that other libraries expect."""

import json
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Packing
from numpy.typing import NDArray

from antiphon.models.errors import ModelError
from antiphon.models.folder import SAFETENSORS
from antiphon.models.gguf import read_gguf
from antiphon.models.prepare import prepare
from antiphon.models.progress import Silent
from antiphon.models.safetensors import MODEL_FILE, write_model
from tests.tiny_models import TinyModel, write_tiny_model

HEAD = 16


def tensors(folder: Path) -> dict[str, NDArray[np.float32]]:
    """What a safetensors file holds, by the format's description."""
    content = (folder / MODEL_FILE).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    data = content[8 + length :]
    found = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        assert entry["dtype"] == "F32"
        found[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])
    assert max(entry["data_offsets"][1] for entry in header.values()) == len(data)
    return found


def written(tmp_path: Path, model: TinyModel) -> tuple[Path, dict[str, NDArray[np.float32]]]:
    """A tiny model as GGUF, and what became of it."""
    path = write_tiny_model(tmp_path / "tiny.gguf", model)
    (tmp_path / "config.json").write_text('{"vocab_size": 264}')
    write_model(read_gguf(path), tmp_path)
    return path, tensors(tmp_path)


def packed(path: Path, name: str) -> NDArray[np.float32]:
    """A tensor's weights as the library that defines the format reads them."""
    (tensor,) = (tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == name)
    weights: NDArray[np.float32] = gguf.quants.dequantize(np.asarray(tensor.data), tensor.tensor_type)
    return weights


@pytest.mark.parametrize("packing", [Packing.Q4_1, Packing.Q8_0, Packing.F16, Packing.Q4_0])
def test_weights_are_exactly_those_of_the_file(tmp_path: Path, packing: Packing) -> None:
    """Nothing is rounded on the way."""
    path, found = written(tmp_path, TinyModel(packing=packing))

    for theirs, ours in (
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"),
        ("blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"),
        ("output_norm.weight", "model.norm.weight"),
    ):
        np.testing.assert_array_equal(found[ours], packed(path, theirs))


def test_architecture_that_is_recast_for_openvino_is_refused(tmp_path: Path) -> None:
    """What other engines would read of it was never checked."""
    with pytest.raises(ModelError, match="phi3 cannot be carried over from GGUF for this engine"):
        written(tmp_path, TinyModel("phi3"))


@pytest.mark.parametrize(("part", "heads"), [("q", 2), ("k", 1)])
def test_heads_pair_their_halves(tmp_path: Path, part: str, heads: int) -> None:
    """Rotating halves of the written head is rotating neighbours of the file's."""
    path, found = written(tmp_path, TinyModel())
    x = np.random.default_rng(1).normal(size=32).astype(np.float32)
    turns = np.exp(1j * np.arange(HEAD // 2))

    theirs = (packed(path, f"blk.0.attn_{part}.weight") @ x).reshape(heads, -1, 2)
    first, second = np.split(
        (found[f"model.layers.0.self_attn.{part}_proj.weight"] @ x).reshape(heads, -1), 2, axis=-1
    )

    np.testing.assert_allclose(
        (first + 1j * second) * turns, (theirs[..., 0] + 1j * theirs[..., 1]) * turns, rtol=1e-5
    )


def test_heads_of_qwen_stay_as_they_are(tmp_path: Path) -> None:
    """Their files pair halves already; biases and norms of heads have names too."""
    path, found = written(tmp_path, TinyModel(architecture="qwen2"))

    np.testing.assert_array_equal(
        found["model.layers.0.self_attn.q_proj.weight"], packed(path, "blk.0.attn_q.weight")
    )
    np.testing.assert_array_equal(
        found["model.layers.0.self_attn.q_proj.bias"], packed(path, "blk.0.attn_q.bias")
    )
    _, found = written(tmp_path, TinyModel(architecture="qwen3"))
    assert "model.layers.1.self_attn.k_norm.weight" in found


def test_config_says_the_shape(tmp_path: Path) -> None:
    """What is in it already stays."""
    written(tmp_path, TinyModel(output=Packing.F16))
    config = json.loads((tmp_path / "config.json").read_text())

    assert config["vocab_size"] == 264
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["hidden_size"], config["intermediate_size"], config["head_dim"]) == (32, 64, HEAD)
    assert (config["num_attention_heads"], config["num_key_value_heads"]) == (2, 1)
    assert (config["num_hidden_layers"], config["tie_word_embeddings"]) == (2, False)


def test_what_cannot_be_carried_over_is_refused(tmp_path: Path) -> None:
    """Rotary factors have no place in a configuration that could say them exactly."""
    with pytest.raises(ModelError, match="rotary positions"):
        written(tmp_path, TinyModel(rope_factors=(1.0,) * (HEAD // 2)))


def test_model_is_prepared_once_in_this_form_too(tmp_path: Path) -> None:
    """By its own name in the cache, without a conversion to OpenVINO."""
    path = write_tiny_model(tmp_path / "tiny.gguf")
    cache = tmp_path / "cache"

    first = prepare(str(path), cache, Silent(), form=SAFETENSORS)
    before = (first.folder / MODEL_FILE).stat().st_mtime_ns
    second = prepare(str(path), cache, Silent(), form=SAFETENSORS)

    assert first == second
    assert (second.folder / MODEL_FILE).stat().st_mtime_ns == before
    assert not list(first.folder.glob("*.bin"))
    own = prepare(str(first.folder), cache, Silent(), form=SAFETENSORS)
    assert (own.vocab_size, own.eos_token_ids) == (first.vocab_size, first.eos_token_ids)
