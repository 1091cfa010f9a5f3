"""The detokenizer on bytes chosen by hand."""

import pytest

from antiphon.text.detokenize import Detokenizer


def test_character_split_over_tokens_comes_whole() -> None:
    """Nothing of an emoji is heard before its last byte."""
    detokenizer = Detokenizer()
    heard = [detokenizer.push(bytes((byte,))) for byte in "🦜!".encode()]

    assert heard == ["", "", "", "🦜", "!"]


def test_held_counts_the_bytes_of_an_unfinished_character() -> None:
    """The caller can tell how many bytes have not become text yet."""
    detokenizer = Detokenizer()
    detokenizer.push(b"a\xf0\x9f")

    assert detokenizer.held == 2


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff", "\ufffd"),
        (b"\xc3(", "\ufffd("),
        (b"\xf0\x9f\xa6A", "\ufffdA"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    ],
)
def test_invalid_bytes_become_replacement_characters(data: bytes, text: str) -> None:
    """One U+FFFD stands for each maximal invalid run, as in `bytes.decode`."""
    detokenizer = Detokenizer()

    assert detokenizer.push(data) + detokenizer.flush() == text == data.decode("utf-8", "replace")


def test_flush_tells_of_an_unfinished_character() -> None:
    """A character that never was completed is one U+FFFD, once."""
    detokenizer = Detokenizer()
    detokenizer.push(b"\xe2\x98")

    assert (detokenizer.flush(), detokenizer.flush()) == ("\ufffd", "")
