"""Q4_0 from another 4-bit format."""

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize, quantize

from bench.servers.requantise import write_q4_0


def test_q4_0_version_keeps_everything_but_the_4_bit_format(tmp_path: Path) -> None:
    """4-bit tensors become Q4_0 of nearly the same values; others and the metadata stay as they were."""
    source, target = tmp_path / "source.gguf", tmp_path / "target.gguf"
    weights = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    writer = GGUFWriter(source, arch="llama")
    writer.add_context_length(128)
    writer.add_token_list(["a", "b"])
    kinds = {"small": GGMLQuantizationType.Q4_1, "large": GGMLQuantizationType.Q8_0}
    for name, kind in kinds.items():
        writer.add_tensor(name, quantize(weights, kind), raw_dtype=kind)
    writer.add_tensor("norm", weights[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    write_q4_0(source, target)
    before, after = GGUFReader(source), GGUFReader(target)

    assert after.fields["llama.context_length"].contents() == 128
    assert after.fields["tokenizer.ggml.tokens"].contents() == ["a", "b"]
    found = {tensor.name: tensor for tensor in after.tensors}
    assert {name: t.tensor_type.name for name, t in found.items()} == {
        "small": "Q4_0",
        "large": "Q8_0",
        "norm": "F32",
    }
    assert np.array_equal(found["large"].data, before.tensors[1].data)
    assert np.array_equal(found["norm"].data, weights[0])
    values = dequantize(found["small"].data, found["small"].tensor_type)
    assert np.abs(values - weights).mean() < 0.15
