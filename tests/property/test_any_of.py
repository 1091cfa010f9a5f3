"""One pattern for many texts finds what an alternation of them would find."""

import re

from hypothesis import given
from hypothesis import strategies as st

from antiphon.text.any_of import any_of

_WORDS = st.text("ab<.", min_size=1, max_size=5)


@given(texts=st.lists(_WORDS, max_size=12), text=st.text("ab<.", max_size=40))
def test_it_is_the_alternation_with_the_longest_first(texts: list[str], text: str) -> None:
    """For any texts, repeated or beginnings of each other; none at all match nothing."""
    longest_first = sorted(set(texts), key=len, reverse=True)
    plain = "|".join(map(re.escape, longest_first)) or r"(?!)"

    assert re.split(f"({any_of(texts)})", text) == re.split(f"({plain})", text)


def test_long_texts_do_not_nest() -> None:
    """Each beginning of one long text is a text of its own: a pattern that Python still compiles."""
    texts = ["a" * length for length in range(1, 2000)]

    match = re.match(any_of(texts), "a" * 1500 + "b")

    assert match is not None
    assert match.end() == 1500
