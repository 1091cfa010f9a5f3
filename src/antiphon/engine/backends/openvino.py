"""OpenVINO's paged attention as a backend: the only module that imports `openvino`.

It loads an IR folder, rewrites the model for paged attention, keeps the KV cache in tensors of its
own and runs one batch of slices a call. It does not schedule, sample or own pages' meaning.

Invariant (measured, see docs/decisions/0003 and 0012): with a KV cache in the type of compute, or in
8 bits with keys quantised by token, a slice's logits are bit-equal in any batch and for any division
of a prompt into slices of at least two tokens. Slices of one token run another kernel, so they are
not bit-equal to the same token in a longer slice; but several of them may be of one sequence, for all
KV of a step is written before attention reads it. A third kernel, for batches of fewer single tokens
than threads, is avoided by padding; products that compute in f32 are kept to the rows of one kernel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from antiphon.engine.backend import Logits, Slice
from antiphon.engine.backends.steady import SteadySize
from antiphon.engine.backends.step_parts import RowRange, divide
from antiphon.telemetry.optout import block_vendor_telemetry

block_vendor_telemetry()

import openvino as ov  # noqa: E402
from openvino import opset13  # noqa: E402
from openvino._offline_transformations import paged_attention_transformation  # noqa: E402

_PAGE_TOKENS = 32
"""Fixed by OpenVINO's CPU plugin."""

_ANY_ROWS: Final = RowRange()
"""bf16: one kernel for every number of rows, seen on AVX-512 with BF16."""
_F32_ROWS: Final = RowRange(2, 80)
"""f32: a single row and more than 80 run other kernels, seen on AVX2 for every width and thread count."""

_CHANGE_TOKENS: Final = 4
"""A step of another size than the last costs about as much as so many more tokens (measured on AVX2: 8 to
12 ms for the default model's 800 nodes, 2.4 ms a token)."""
_STEADY_MOST: Final = 72


@dataclass(frozen=True, slots=True)
class OpenVINOOptions:
    """How a model is loaded. `threads` 0 leaves the number to OpenVINO (all cores)."""

    folder: Path
    kv_cache_bytes: int
    threads: int = 0
    kv_cache_type: Literal["auto", "u8"] = "auto"
    """`auto` keeps keys and values as they are computed; `u8` halves their size and costs speed."""


class OpenVINOBackend:
    """One compiled model with its KV cache. See `engine.backend.Backend` for the contract."""

    def __init__(self, options: OpenVINOOptions) -> None:
        """Load and compile; takes seconds.

        Raises:
            RuntimeError: OpenVINO cannot read or compile the model.
        """
        compiled = _compile(options)
        self._request = compiled.create_infer_request()
        self._caches = _allocate_caches(compiled, options.kv_cache_bytes)
        for name, tensor in self._caches.items():
            self._request.set_tensor(name, tensor)
        self._threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
        self._precision = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
        self._kv_type = next(iter(self._caches.values())).element_type.get_type_name()
        self._rows = _ANY_ROWS if "bfloat16" in self._precision else _F32_ROWS
        self._steady = SteadySize(_CHANGE_TOKENS, _STEADY_MOST)
        self._vocab_size = int(compiled.output(0).partial_shape[2].get_length())

    @property
    def vocab_size(self) -> int:
        """Width of a row of logits."""
        return self._vocab_size

    @property
    def page_tokens(self) -> int:
        """Tokens a page holds."""
        return _PAGE_TOKENS

    @property
    def page_count(self) -> int:
        """Pages in the KV cache; one more is kept for padding."""
        return int(next(iter(self._caches.values())).shape[0]) - 1

    @property
    def least_tokens(self) -> int:
        """One token is never computed alone, except by one thread in bf16; see `_padding`."""
        return max(min(self._threads, 2), self._rows.least)

    @property
    def fingerprint(self) -> str:
        """Library version, compute precision and kernels: what logits depend on beside the weights."""
        rows = f"{self._rows.least}-{self._rows.most}"
        return f"openvino {ov.__version__} {self._precision} kv-{self._kv_type} rows-{rows}"

    def forward(self, slices: Sequence[Slice]) -> Logits:
        """Run one step; see `Backend.forward`."""
        parts = list(divide(slices, self._rows.most, _PAGE_TOKENS))
        if len(parts) == 1:
            return self._run(parts[0])
        return np.concatenate([self._run(part).copy() for part in parts])

    def _run(self, slices: Sequence[Slice]) -> Logits:
        """One inference; the rows it returns are overwritten by the next."""
        padded = [*slices, *self._padding(slices)]
        missing = self._steady.padding(sum(len(piece.tokens) for piece in padded))
        inputs = _inputs([*padded, *[Slice([0], 0, [self.page_count], rows=0)] * missing])
        wanted = inputs["logit_rows"]
        if 0 < len(wanted) < self._rows.least:
            inputs["logit_rows"] = np.resize(wanted, self._rows.least).astype(np.int64)
        for name, values in inputs.items():
            self._request.set_tensor(name, ov.Tensor(values))
        self._request.infer()
        rows: Logits = self._request.get_output_tensor(0).data[: len(wanted), 0, :]
        return rows

    def _padding(self, slices: Sequence[Slice]) -> list[Slice]:
        """What to run beside small decode batches so that attention takes the same kernel as in large ones.

        OpenVINO splits a batch of fewer sequences than threads, none of them prefilling, along their
        KV and adds the parts up in another order (`exec_loop_bhl` against `exec_loop_mixed` in its
        CPU plugin). One more token or, with many threads, a two-token prefill keeps it from that.
        Where products of a single row are computed differently, it is never alone either.
        """
        if len(slices) >= max(self._threads, self._rows.least) or any(len(s.tokens) > 1 for s in slices):
            return []
        tokens = 1 if len(slices) + 1 >= self._threads else 2
        return [Slice([0] * tokens, 0, [self.page_count], rows=0)]

    def copy_page(self, source: int, target: int) -> None:
        """Copy a page's KV in every layer; about 0.4 ms for 30 layers."""
        for tensor in self._caches.values():
            tensor.data[target] = tensor.data[source]


def _compile(options: OpenVINOOptions) -> ov.CompiledModel:
    core = ov.Core()
    model = core.read_model(options.folder / "openvino_model.xml")
    paged_attention_transformation(model)
    _keep_selected_rows(model)
    config: dict[str, object] = {
        "PERFORMANCE_HINT": "LATENCY",
        # On a CPU that computes in bf16, f16 stands for bf16 too.
        "KV_CACHE_PRECISION": "f16" if options.kv_cache_type == "auto" else options.kv_cache_type,
        "KEY_CACHE_QUANT_MODE": "BY_TOKEN",
        # Each process would pin its threads from the first core on: two engines of one thread shared a core.
        "ENABLE_CPU_PINNING": False,
    }
    if options.threads:
        config["INFERENCE_NUM_THREADS"] = options.threads
    return core.compile_model(model, "CPU", config)


def _keep_selected_rows(model: ov.Model) -> None:
    """Gather the wanted rows of hidden states before the vocabulary projection.

    Logits of every prompt token would cost more than the rest of the model for a large vocabulary.
    """
    projection = model.get_results()[0].input_value(0).get_node()
    if projection.get_type_name() != "MatMul":
        raise RuntimeError("the model does not end in a vocabulary projection")
    rows = opset13.parameter([-1], ov.Type.i64, name="logit_rows")
    rows.output(0).set_names({"logit_rows"})
    gathered = opset13.gather(projection.input_value(0), rows, opset13.constant(0, ov.Type.i64))
    projection.input(0).replace_source_output(gathered.output(0))
    model.add_parameters([rows])
    model.validate_nodes_and_infer_types()


def _allocate_caches(compiled: ov.CompiledModel, budget_bytes: int) -> dict[str, ov.Tensor]:
    """One tensor [pages, kv_heads, 32, head bytes] per layer for keys and one for values.

    Memory is committed by the system when a page is first written, so a generous budget costs
    nothing until it is used.
    """
    inputs = [i for i in compiled.inputs if i.any_name.startswith(("key_cache.", "value_cache."))]
    shapes = {i.any_name: [d.get_length() for d in list(i.partial_shape)[1:]] for i in inputs}
    types = {i.any_name: i.element_type for i in inputs}
    page_bytes = sum(int(np.prod(shape)) * types[name].size for name, shape in shapes.items())
    pages = max(2, budget_bytes // page_bytes)
    return {name: ov.Tensor(types[name], [pages, *shape]) for name, shape in shapes.items()}


def _inputs(slices: Sequence[Slice]) -> dict[str, NDArray[np.int32] | NDArray[np.int64]]:
    """The paged-attention inputs of a batch: tokens laid end to end, with each sequence's borders."""
    counts = [len(s.tokens) for s in slices]
    pages = [len(s.pages) for s in slices]
    ends = np.cumsum(counts)
    wanted = [row for s, end in zip(slices, ends, strict=True) for row in range(end - s.rows, end)]
    return {
        "input_ids": np.array([t for s in slices for t in s.tokens], np.int64),
        "position_ids": np.concatenate(
            [np.arange(s.start, s.start + n, dtype=np.int64) for s, n in zip(slices, counts, strict=True)]
        ),
        "past_lens": np.array([s.start for s in slices], np.int32),
        "subsequence_begins": np.concatenate(([0], ends)).astype(np.int32),
        "block_indices": np.array([p for s in slices for p in s.pages], np.int32),
        "block_indices_begins": np.concatenate(([0], np.cumsum(pages))).astype(np.int32),
        "max_context_len": np.array(max(s.start + n for s, n in zip(slices, counts, strict=True)), np.int32),
        "logit_rows": np.array(wanted, np.int64),
    }
