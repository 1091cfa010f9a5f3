"""The stop matcher against a slow and obvious reference, under any split."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.text.stop import StopMatcher, StopStrings

ALPHABET = "aab\u00e9🦜"
STOPS = st.lists(st.text(ALPHABET, min_size=1, max_size=5), min_size=1, max_size=4)
TEXTS = st.text(ALPHABET, max_size=40)
CUTS = st.lists(st.integers(0, 120), max_size=12)


def reference(stops: list[str], text: bytes) -> tuple[bytes, bool]:
    """Grow the text byte by byte until it ends with a stop string; cut the longest such one off."""
    encoded = [stop.encode() for stop in stops]
    for end in range(1, len(text) + 1):
        lengths = [len(stop) for stop in encoded if text[:end].endswith(stop)]
        if lengths:
            return text[: end - max(lengths)], True
    return text, False


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """The pieces of `data` between the given places."""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@given(STOPS, TEXTS, CUTS)
@example(["aab"], "aaab", [1, 2, 3])
@example(["abab", "bb"], "ababb", [2])
def test_any_split_lets_the_same_text_through(stops: list[str], text: str, cuts: list[int]) -> None:
    """No byte of a stop string leaks and none of the text is lost, however it arrives."""
    matcher = StopMatcher(StopStrings(stops))
    through, matched = b"", False
    for piece in split(text.encode(), cuts):
        safe, matched = matcher.push(piece)
        through += safe
        if matched:
            break
    else:
        through += matcher.flush()

    assert (through, matched) == reference(stops, text.encode())


@given(STOPS, TEXTS)
def test_held_back_is_the_longest_tail_that_begins_a_stop_string(stops: list[str], text: str) -> None:
    """Nothing waits that could be delivered, and nothing is delivered that must wait."""
    matcher = StopMatcher(StopStrings(stops))
    data = text.encode()
    _, matched = matcher.push(data)
    beginnings = {stop.encode()[:end] for stop in stops for end in range(len(stop.encode()))}
    expected = max(n for n in range(len(data) + 1) if data[len(data) - n :] in beginnings)

    assert matched or matcher.held == expected
