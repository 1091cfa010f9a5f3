"""Division of a step under arbitrary slices."""

from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.backend import Slice
from antiphon.engine.backends.step_parts import divide

_PAGE_TOKENS = 4


@st.composite
def _slices(draw: st.DrawFn) -> list[Slice]:
    """Slices as a scheduler plans them: tokens are numbered, so that a lost or repeated one shows."""
    slices = []
    for sequence in range(draw(st.integers(0, 6))):
        start, count = draw(st.integers(0, 9)), draw(st.integers(1, 40))
        pages = [100 * sequence + page for page in range(-(-(start + count) // _PAGE_TOKENS))]
        tokens = [1000 * sequence + start + place for place in range(count)]
        slices.append(Slice(tokens, start, pages, draw(st.integers(0, count))))
    return slices


@given(_slices(), st.integers(3, 20))
def test_parts_hold_every_token_once_within_bounds(slices: list[Slice], most: int) -> None:
    """Tokens in order, no part too large, prompts never cut to one token, pages and rows as before."""
    parts = list(divide(slices, most, _PAGE_TOKENS))

    pieces = [piece for part in parts for piece in part]
    assert [t for s in slices for t in s.tokens] == [t for p in pieces for t in p.tokens]
    assert all(0 < sum(len(piece.tokens) for piece in part) <= most for part in parts)
    alone = [list(s.tokens) for s in slices if len(s.tokens) == 1]
    assert alone == [list(piece.tokens) for piece in pieces if len(piece.tokens) == 1]
    for piece in pieces:
        whole = next(s for s in slices if piece.tokens[0] in s.tokens)
        end = piece.start + len(piece.tokens)
        assert piece.start == piece.tokens[0] % 1000
        assert list(piece.pages) == list(whole.pages)[: -(-end // _PAGE_TOKENS)]
        wanted = range(whole.start + len(whole.tokens) - whole.rows, whole.start + len(whole.tokens))
        assert [p for p in range(piece.start, end) if p in wanted] == list(range(end - piece.rows, end))


@given(_slices())
def test_step_within_bounds_stays_whole(slices: list[Slice]) -> None:
    """Nothing to divide: the very slices."""
    assert list(divide(slices, 1000, _PAGE_TOKENS)) == ([slices] if slices else [])
