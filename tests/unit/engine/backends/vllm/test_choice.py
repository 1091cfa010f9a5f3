"""vLLM's tokens in, what the port promises out."""

import itertools
import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.generation import Constraint, EndReason, TokenLogprob
from antiphon.engine.backends.vllm.choice import HeldChoice
from antiphon.engine.backends.vllm.source import Piece, SourceFailed
from tests.byte_grammar import EOS, byte_compiler, text_of, token_of

END = 9
COMPILER = byte_compiler()


def fold(held: HeldChoice, pieces: list[Piece]) -> tuple[list[int], EndReason | None]:
    """All that is delivered, and the first end."""
    tokens: list[int] = []
    for piece in pieces:
        taken = held.take(piece)
        tokens += taken.token_ids
        if taken.end:
            return tokens, taken.end
    return tokens, None


def constrained(pattern: str, *, max_tokens: int = 9) -> HeldChoice:
    """A choice under a regular expression."""
    return HeldChoice(frozenset({EOS, END}), max_tokens, COMPILER.compile(Constraint("regex", pattern)))


def spelled(text: str) -> tuple[int, ...]:
    """The tokens of an ASCII text."""
    return tuple(map(token_of, text))


@given(tokens=st.lists(st.integers(0, 12), max_size=30), cuts=st.lists(st.integers(0, 30), max_size=5))
def test_delivery_depends_on_the_tokens_alone(tokens: list[int], cuts: list[int]) -> None:
    """However vLLM cuts its output: up to the first ending token or the budget, whichever is first."""
    edges = sorted({0, len(tokens), *(cut for cut in cuts if cut < len(tokens))})
    pieces = [Piece(tuple(tokens[start:end])) for start, end in itertools.pairwise(edges)]
    before = tokens.index(END) if END in tokens else len(tokens)
    reason = "length" if before >= 10 else "stop" if END in tokens else None

    assert fold(HeldChoice(frozenset({END}), 10), pieces) == (tokens[: min(before, 10)], reason)


def test_logprobs_stay_with_their_tokens() -> None:
    """The ending token's score goes with it."""
    scores = tuple(TokenLogprob(token, -1.0) for token in (1, 2, END))
    taken = HeldChoice(frozenset({END}), 10).take(Piece((1, 2, END), scores, "stop"))

    assert (taken.token_ids, taken.logprobs, taken.end) == ((1, 2), scores[:2], "stop")


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_end_by_a_rule_of_the_server_is_an_end(reason: EndReason) -> None:
    """A full context, say."""
    assert fold(HeldChoice(frozenset({END}), 10), [Piece((1,), (), reason)]) == ([1], reason)


def test_complete_grammar_ends_at_once() -> None:
    """Without waiting for end-of-sequence, and as `stop` though the budget is spent with it."""
    assert fold(constrained("ab"), [Piece(spelled("abc"))]) == (list(spelled("ab")), "stop")
    assert fold(constrained("ab", max_tokens=2), [Piece(spelled("ab"), (), "length")])[1] == "stop"
    assert fold(constrained("a+", max_tokens=2), [Piece(spelled("aa"), (), "length")])[1] == "length"


def test_end_where_the_grammar_allows_it() -> None:
    """By end-of-sequence there, by a stop token of the caller's anywhere."""
    assert fold(constrained("a+"), [Piece((*spelled("a"), EOS), (), "stop")]) == (list(spelled("a")), "stop")
    assert fold(constrained("abc"), [Piece((*spelled("a"), END), (), "stop")])[1] == "stop"


@pytest.mark.parametrize(
    "piece",
    [Piece(spelled("ax")), Piece((*spelled("a"), EOS), (), "stop"), Piece(spelled("a"), (), "stop")],
    ids=["a token", "an early end", "an end without a token"],
)
def test_broken_constraint_fails_the_choice(piece: Piece) -> None:
    """Whoever generated it: what is not in the language is not delivered."""
    with pytest.raises(SourceFailed):
        constrained("abc").take(piece)


SHAPE = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"enum": ["x", "y"]}},
    "required": ["a"],
    "additionalProperties": False,
}
HELD = Constraint("json_schema", json.dumps(SHAPE))
FREE = Constraint("json_schema", '{"type": "object"}', ("",))
PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["-1", "0", "7", '"x"', '"z"', "1.5"])))


@given(pairs=PAIRS, constraint=st.sampled_from([HELD, FREE]))
def test_what_ends_by_itself_is_valid_whatever_came(
    pairs: list[tuple[str, str]], constraint: Constraint
) -> None:
    """Other names and values, one name twice: it fails, or it is what the schema wants."""
    text = "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}"
    held = HeldChoice(frozenset({EOS}), 99, COMPILER.compile(constraint))
    try:
        tokens, end = fold(held, [Piece((*spelled(text), EOS), (), "stop")])
    except SourceFailed:
        assert constraint == HELD or len(dict(pairs)) < len(pairs)
        return

    assert (text_of(tokens), end) == (text, "stop")
    assert len(dict(pairs)) == len(pairs)
    if constraint == HELD:
        jsonschema.validate(json.loads(text), SHAPE)
