"""The detokenizer under any bytes in any split."""

from hypothesis import given
from hypothesis import strategies as st

from antiphon.text.detokenize import Detokenizer

PIECES = st.lists(
    st.one_of(
        st.binary(max_size=4),
        st.text(max_size=3).map(str.encode),
        st.sampled_from([b"\xf0\x9f", b"\xa6\x9c"]),
    ),
    max_size=20,
)


@given(PIECES)
def test_any_split_gives_the_text_of_the_whole(pieces: list[bytes]) -> None:
    """Pushes and flush concatenate to what a decoder of the whole would say."""
    detokenizer = Detokenizer()
    text = "".join(map(detokenizer.push, pieces)) + detokenizer.flush()

    assert text == b"".join(pieces).decode("utf-8", "replace")


@given(st.text())
def test_valid_text_is_never_replaced(text: str) -> None:
    """Byte by byte, every character arrives whole and unharmed."""
    detokenizer = Detokenizer()
    heard = [detokenizer.push(bytes((byte,))) for byte in text.encode()]

    assert "".join(heard) == text
    assert all(len(piece) <= 1 for piece in heard)
    assert detokenizer.held == 0
