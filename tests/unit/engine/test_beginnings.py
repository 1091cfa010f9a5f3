"""Pages that begin alike."""

from antiphon.engine.beginnings import Follower, PageBeginnings


def test_followers_are_told_with_what_they_share_best_first() -> None:
    """The count is of tokens from the page's start, whatever comes later."""
    known = PageBeginnings()
    known.note(b"p", Follower(b"a", (1, 2, 9, 4)))
    known.note(b"p", Follower(b"b", (1, 2, 3, 9)))

    assert known.after(b"p", [1, 2, 3, 4]) == [(3, b"b"), (2, b"a")]
    assert known.after(b"p", [1]) == [(1, b"b"), (1, b"a")]
    assert known.after(b"p", []) == [(0, b"b"), (0, b"a")]


def test_pages_after_another_prefix_are_unknown() -> None:
    """The same tokens mean something else there."""
    known = PageBeginnings()
    known.note(b"p", Follower(b"a", (1, 2)))

    assert known.after(b"q", [1, 2]) == []


def test_memory_is_bounded_and_keeps_the_newest() -> None:
    """Eight pages of a prefix, a thousand prefixes."""
    known = PageBeginnings()
    for number in range(3000):
        known.note(b"p", Follower(b"%d" % number, (number,)))
        known.note(b"%d" % number, Follower(b"x", (number,)))

    assert known.after(b"p", [2995])[0] == (1, b"2995")
    assert len(known.after(b"p", [0])) == 8
    assert known.after(b"0", [0]) == []
    assert known.after(b"2999", [2999]) == [(1, b"x")]
