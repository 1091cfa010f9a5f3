"""Server-sent events: bytes in, payloads out."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bench.loadgen.sse import EventParser

STREAM = (
    b': ping\n\ndata: {"a":1}\n\ndata:two\ndata: lines\n\nevent: x\r\ndata: crlf\r\n\r\n\n\ndata: [DONE]\n\n'
)
PAYLOADS = [b'{"a":1}', b"two\nlines", b"crlf", b"[DONE]"]


def test_parser_gives_the_data_of_each_event() -> None:
    """Comments, other fields and empty lines give nothing."""
    assert EventParser().push(STREAM) == PAYLOADS


@given(st.lists(st.integers(0, len(STREAM))))
def test_parser_is_indifferent_to_how_the_bytes_come(cuts: list[int]) -> None:
    """Any division of a stream gives the same payloads."""
    borders = [0, *sorted(cuts), len(STREAM)]
    parser = EventParser()
    pieces = [STREAM[start:end] for start, end in pairwise(borders)]
    assert [payload for piece in pieces for payload in parser.push(piece)] == PAYLOADS


def test_parser_holds_an_unfinished_event_back() -> None:
    """An event is told when its empty line is there."""
    parser = EventParser()
    assert parser.push(b"data: half") == []
    assert parser.push(b"\n") == []
    assert parser.push(b"\n") == [b"half"]
