"""The stop matcher on texts chosen by hand."""

import pytest

from antiphon.text.stop import StopMatcher, StopStrings


def through(stops: list[str], *pieces: str) -> tuple[list[bytes], bool]:
    """What each piece lets through, then the flush; and whether a stop string was found."""
    matcher = StopMatcher(StopStrings(stops))
    heard = []
    for piece in pieces:
        safe, matched = matcher.push(piece.encode())
        heard.append(safe)
        if matched:
            return heard, True
    return [*heard, matcher.flush()], False


def test_stop_string_split_over_pieces_is_not_let_through() -> None:
    """What may begin a stop string waits until it is one."""
    assert through(["END"], "one E", "N", "D two") == ([b"one ", b"", b""], True)


def test_false_beginning_is_let_through_when_it_is_known_to_be_false() -> None:
    """What was held back comes out, up to what may begin another stop string."""
    assert through(["END"], "one E", "N", "E") == ([b"one ", b"", b"EN", b"E"], False)


def test_stop_string_at_the_very_start_leaves_nothing() -> None:
    """A text that begins with a stop string is empty."""
    assert through(["\n"], "\nhello") == ([b""], True)


@pytest.mark.parametrize(
    ("stops", "text", "kept"),
    [
        (["abcd", "bc"], "abcd", b"a"),
        (["bc", "abc"], "abc", b""),
        (["a", "ab"], "ab", b""),
        (["aab"], "aaab", b"a"),
        (["abab", "ba"], "abab", b"a"),
    ],
)
def test_first_completed_match_wins_and_the_longest_of_those(
    stops: list[str], text: str, kept: bytes
) -> None:
    """The earliest end decides; among equal ends the earliest start."""
    assert through(stops, text) == ([kept], True)


def test_characters_of_several_bytes_match_whole() -> None:
    """A stop string of other scripts is found, even when its bytes come one by one."""
    matcher = StopMatcher(StopStrings(["東京"]))
    heard = [matcher.push(bytes((byte,))) for byte in "北東京".encode()]

    assert b"".join(safe for safe, _ in heard) == "北".encode()
    assert [matched for _, matched in heard].index(True) == 8


def test_empty_stop_strings_are_no_stop_strings() -> None:
    """There is nothing to look for in nothing."""
    assert not StopStrings([])
    assert not StopStrings(["", ""])


def test_held_is_never_longer_than_a_beginning_of_a_stop_string() -> None:
    """Only what could still become a stop string waits."""
    matcher = StopMatcher(StopStrings(["aaab"]))
    safe, _ = matcher.push(b"a" * 1000)

    assert (len(safe), matcher.held) == (997, 3)
