"""The text pipeline of a choice: any grouping of the same tokens tells the same story."""

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.events import ScoredToken, TextDelta
from antiphon.core.generation import TokenDelta, TokenLogprob
from antiphon.service.choice_text import ChoiceText, TokenScorer
from antiphon.text.stop import StopStrings
from tests.unit.service.serving import ListTokenizer

TOKENS = ListTokenizer(
    [b"", b"a", b"ab", b"b", b"\xc3", b"\xa9", b"\xf0\x9f\xa6", b"\x9c", "é".encode(), b"ba\xc3"]
)
GROUPS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), max_size=12)
STOPS = st.lists(st.text("abé🦜", min_size=1, max_size=3), max_size=3)

Story = tuple[str, tuple[ScoredToken, ...], int, bool]


def told(groups: list[list[int]], stops: list[str], scored: bool, min_tokens: int) -> Story:
    """Text, scores, count and whether a stop string was found."""
    text = ChoiceText(TOKENS, TokenScorer(TOKENS), StopStrings(stops), min_tokens)
    deltas: list[TextDelta | None] = []
    for group in groups:
        logprobs = tuple(TokenLogprob(token, -1.0) for token in group) if scored else ()
        deltas.append(text.push(TokenDelta(0, tuple(group), logprobs), 0))
        if text.stopped:
            break
    else:
        deltas.append(text.flush(0))
    heard = [delta for delta in deltas if delta is not None]
    scores = tuple(score for delta in heard for score in delta.tokens)
    return "".join(delta.text for delta in heard), scores, text.tokens, text.stopped


@given(GROUPS, STOPS, st.booleans(), st.integers(0, 4))
def test_grouping_changes_nothing(
    groups: list[list[int]], stops: list[str], scored: bool, min_tokens: int
) -> None:
    """Text, scores, usage and end are those of the tokens one by one."""
    one_by_one = [[token] for group in groups for token in group]

    assert told(groups, stops, scored, min_tokens) == told(one_by_one, stops, scored, min_tokens)


@given(GROUPS)
def test_without_stop_strings_all_bytes_become_text(groups: list[list[int]]) -> None:
    """The text is the decoded concatenation of all tokens, and all are counted and scored."""
    tokens = [token for group in groups for token in group]
    raw = b"".join(map(TOKENS.token_bytes, tokens))
    text, scores, count, stopped = told(groups, [], True, 0)

    assert (text, count, stopped) == (raw.decode("utf-8", "replace"), len(tokens), False)
    assert [score.raw for score in scores] == [TOKENS.token_bytes(token) for token in tokens]


@given(GROUPS, STOPS)
def test_scores_cover_the_delivered_bytes_and_begin_in_them(
    groups: list[list[int]], stops: list[str]
) -> None:
    """The scored tokens spell the text, and at most the last one goes beyond it."""
    text, scores, _, _ = told(groups, stops, True, 0)
    spelled = b"".join(score.raw for score in scores)
    with_bytes = [score.raw for score in scores if score.raw]
    all_but_last = b"".join(with_bytes[:-1])

    assert spelled.decode("utf-8", "replace").startswith(text.rstrip("\ufffd"))
    assert len(all_but_last) < max(1, len(text.encode()))


@given(GROUPS, STOPS)
def test_text_holds_no_stop_string(groups: list[list[int]], stops: list[str]) -> None:
    """Whether one was found or not, none is in the text."""
    text, _, _, _ = told(groups, stops, False, 0)

    assert not any(stop in text for stop in stops)
