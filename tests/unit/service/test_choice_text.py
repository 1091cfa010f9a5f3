"""The text pipeline of one choice, on tokens chosen by hand."""

from antiphon.core.events import AlternativeToken, ScoredToken, TextDelta
from antiphon.core.generation import TokenDelta, TokenLogprob
from antiphon.service.choice_text import ChoiceText, TokenScorer
from antiphon.text.stop import StopStrings
from tests.unit.service.serving import ListTokenizer

TOKENS = ListTokenizer([b"", b"one", b" two", b" th", b"ree", b"\xf0\x9f", b"\xa6\x9c", b" END", b"!"])


def pipeline(*stops: str, min_tokens: int = 0) -> ChoiceText:
    """A fresh pipeline for these stop strings."""
    return ChoiceText(TOKENS, TokenScorer(TOKENS), StopStrings(stops), min_tokens)


def scored(*tokens: int) -> TokenDelta:
    """A delta whose tokens have logprobs: minus their id."""
    return TokenDelta(0, tokens, tuple(TokenLogprob(token, -float(token)) for token in tokens))


def spoken(delta: TextDelta | None) -> tuple[str, list[bytes]]:
    """Text and scored bytes of a delta."""
    return ("", []) if delta is None else (delta.text, [score.raw for score in delta.tokens])


def test_group_without_stop_strings_is_one_delta() -> None:
    """Tokens that come together are delivered together."""
    text = pipeline()

    assert text.push(TokenDelta(3, (1, 2)), 3) == TextDelta(3, "one two")
    assert text.tokens == 2


def test_unfinished_character_gives_no_delta() -> None:
    """There is nothing to deliver until the character is whole."""
    text = pipeline()

    assert text.push(TokenDelta(0, (5,)), 0) is None
    assert text.push(TokenDelta(0, (6,)), 0) == TextDelta(0, "🦜")


def test_stop_string_cuts_text_and_count() -> None:
    """Tokens after the one that completes the stop string are neither delivered nor counted."""
    text = pipeline("three")

    assert spoken(text.push(TokenDelta(0, (1, 2, 3, 4, 8, 8)), 0)) == ("one two ", [])
    assert (text.stopped, text.tokens) == (True, 4)


def test_flush_delivers_what_was_held_back() -> None:
    """A beginning of a stop string at the very end is text after all."""
    text = pipeline("three")
    text.push(TokenDelta(0, (3,)), 0)

    assert spoken(text.flush(0)) == ("th", [])
    assert text.flush(0) is None


def test_min_tokens_lets_early_stop_strings_through() -> None:
    """The stop string is not looked for in the first tokens, nor begins in them."""
    text = pipeline("one", min_tokens=2)

    assert spoken(text.push(TokenDelta(0, (1, 2, 1)), 0)) == ("one two", [])
    assert (text.stopped, text.tokens) == (True, 3)


def test_score_waits_for_its_text() -> None:
    """A held back token is scored in the delta that delivers it."""
    text = pipeline("three!")

    assert spoken(text.push(scored(1, 3), 0)) == ("one ", [b"one", b" th"])
    assert spoken(text.push(scored(4), 0)) == ("", [])
    assert spoken(text.push(scored(2), 0)) == ("three two", [b"ree", b" two"])


def test_scores_of_a_split_character_come_with_it() -> None:
    """Both halves of an emoji are scored where the emoji is delivered."""
    text = pipeline()

    assert text.push(scored(5), 0) is None
    assert spoken(text.push(scored(6), 0)) == ("🦜", [b"\xf0\x9f", b"\xa6\x9c"])


def test_token_of_which_nothing_is_delivered_loses_its_score() -> None:
    """A token cut in two by a stop string keeps its score; what follows has none."""
    text = pipeline("hree")

    assert spoken(text.push(scored(1, 3, 4, 8), 0)) == ("one t", [b"one", b" th"])
    assert text.stopped


def test_token_without_bytes_is_scored_in_its_place() -> None:
    """A control token has no text but counts, and has a score."""
    text = pipeline("END")
    delta = text.push(scored(1, 0, 7), 0)

    assert spoken(delta) == ("one ", [b"one", b"", b" END"])
    assert text.tokens == 3


def test_scorer_spells_tokens_and_alternatives() -> None:
    """Control tokens go by their name, partial characters by the replacement character."""
    entry = TokenLogprob(5, -1.5, ((0, -0.5), (1, -1.0)))

    assert TokenScorer(TOKENS).score(entry) == ScoredToken(
        "\ufffd",
        b"\xf0\x9f",
        -1.5,
        (AlternativeToken("<end>", b"", -0.5), AlternativeToken("one", b"one", -1.0)),
    )


CALLS = ListTokenizer([b"", b"Hi", b" <tool", b"_call", b">{", b"}", b"<", b"_x"])


def calling_pipeline(*stops: str) -> ChoiceText:
    """A fresh pipeline in which a tag opens a call."""
    opening = StopStrings(("<tool_call>",))
    return ChoiceText(CALLS, TokenScorer(CALLS), StopStrings(stops), 0, opening)


def test_text_ends_where_a_call_opens() -> None:
    """The tag and what comes behind it are kept, also when a token holds text and both."""
    text = calling_pipeline()

    assert spoken(text.push(TokenDelta(0, (1, 2)), 0)) == ("Hi ", [])
    assert (text.push(TokenDelta(0, (3, 4)), 0), text.calling) == (None, True)
    assert text.push(TokenDelta(0, (5,)), 0) is None
    assert (text.take_call(), text.take_call(), text.flush(0)) == (b"<tool_call>{}", b"", None)
    assert text.tokens == 5


def test_tag_that_never_comes_is_text() -> None:
    """It is held back no longer than it may still come."""
    text = calling_pipeline()

    assert text.push(TokenDelta(0, (6,)), 0) is None
    assert spoken(text.push(TokenDelta(0, (7, 2)), 0)) == ("<_x ", [])
    assert spoken(text.flush(0)) == ("<tool", [])
    assert not text.calling


def test_stop_strings_are_of_the_text_alone() -> None:
    """One inside a call cuts nothing; what one had held back is text when the call opens."""
    text = calling_pipeline("}", " {")

    assert spoken(text.push(TokenDelta(0, (1, 2, 3, 4, 5)), 0)) == ("Hi ", [])
    assert (text.stopped, text.take_call()) == (False, b"<tool_call>{}")


def test_stop_string_in_what_looked_like_a_tag_ends_the_text() -> None:
    """As soon as it is known to be none, or at the end."""
    text, ended = calling_pipeline("<"), calling_pipeline("<")
    ended.push(TokenDelta(0, (1, 6)), 0)

    assert spoken(text.push(TokenDelta(0, (1, 6, 7, 2, 3, 4, 5)), 0)) == ("Hi", [])
    assert (text.stopped, text.take_call()) == (True, b"")
    assert (ended.flush(0), ended.stopped) == (None, True)


def test_scores_are_of_the_text_alone() -> None:
    """A token that begins in the tag or behind it has none; one that begins in the text has its own."""
    text = calling_pipeline()
    deltas = [text.push(scored(1, 2), 0), text.push(scored(3, 4, 5), 0), text.flush(0)]

    assert [score for delta in deltas for score in spoken(delta)[1]] == [b"Hi", b" <tool"]
