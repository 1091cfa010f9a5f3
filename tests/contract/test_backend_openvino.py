"""The backend's invariant, bit by bit: logits depend on a sequence alone, never on how work was divided."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.engine.backend import Slice
from antiphon.engine.backends.openvino import OpenVINOBackend, OpenVINOOptions
from antiphon.models.folder import PreparedModel

pytestmark = pytest.mark.model

Row = NDArray[np.float32]
_PROMPT = [int(token) for token in np.random.default_rng(0).integers(12_000, 24_000, 205)]
_ANSWER = _PROMPT[:5]
_FIRST_ROW = 150
"""The logits behind this token of the prompt and all that follow are compared."""
_PAGES = range(8)


@pytest.fixture(scope="module", params=[1, 2, 3])
def backend(request: pytest.FixtureRequest, prepared_model: PreparedModel) -> OpenVINOBackend:
    """One thread, as many as sequences are few, and more."""
    return OpenVINOBackend(OpenVINOOptions(prepared_model.folder, 256 << 20, threads=request.param))


def rows(backend: OpenVINOBackend, chunks: Sequence[int], company: Sequence[Slice]) -> Iterator[Row]:
    """The logits after the last tokens of the prompt, computed in such chunks, and after the answer's."""
    tokens, start = _PROMPT + _ANSWER, 0
    before = sum(piece.rows for piece in company)
    for count in [*chunks, *[1] * len(_ANSWER)]:
        end = start + count
        pages = _PAGES[: -(-end // backend.page_tokens)]
        wanted = max(0, end - max(start, _FIRST_ROW))
        found = backend.forward([*company, Slice(tokens[start:end], start, pages, wanted), *company])
        yield from found[before : before + wanted].copy()
        start = end


def decoding(count: int) -> list[Slice]:
    """Other sequences' single tokens."""
    return [Slice([number], 40, [20 + 2 * number, 21 + 2 * number], 1) for number in range(count)]


@pytest.mark.parametrize(
    ("chunks", "company"),
    [
        ([205], []),
        ([2, 203], decoding(1)),
        ([64, 64, 77], decoding(20)),
        ([48] * 4 + [13], [Slice(_PROMPT[:50], 0, [90, 91], rows=0)]),
        ([205], [*decoding(3), Slice(_PROMPT[:70], 0, [90, 91, 92], rows=70)]),
    ],
    ids=["alone", "beside one", "in a crowd", "beside a prefill", "beside both"],
)
def test_logits_do_not_depend_on_chunks_or_company(
    backend: OpenVINOBackend, chunks: list[int], company: list[Slice]
) -> None:
    """Each division of the prompt, each batch: the bits of the prompt in halves, alone."""
    expected = list(rows(backend, [103, 102], []))

    assert [row.tobytes() for row in expected] == [row.tobytes() for row in rows(backend, chunks, company)]


def test_threads_may_run_on_any_core(backend: OpenVINOBackend) -> None:
    """Pinned ones begin at the first core in every process: engines side by side would share it."""
    assert backend._request.get_compiled_model().get_property("ENABLE_CPU_PINNING") is False
