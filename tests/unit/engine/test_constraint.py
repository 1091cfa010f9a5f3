"""Compiled constraints: what they allow, when they are finished, what they refuse."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from antiphon.core.generation import Constraint
from antiphon.core.messages import ChoiceFormat
from antiphon.engine.constraint import (
    ConstraintBroken,
    ConstraintCompiler,
    ConstraintRefused,
    MaskBatch,
    Matcher,
)
from antiphon.text.response_format import text_constraint

EOS = 256


@pytest.fixture(scope="module")
def compiler() -> ConstraintCompiler:
    """A compiler over a tokenizer whose tokens are the 256 bytes and one end token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<eos>"])
    return ConstraintCompiler(tokenizer.to_str(), 300, (EOS,))


def ids(text: str) -> list[int]:
    """Token ids of ASCII text in that vocabulary."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    shown = {" ": "\u0120", "\n": "\u010a", "\t": "\u0109", "\x01": "\u0101"}
    return [alphabet.index(shown.get(character, character)) for character in text]


def schema(value: object) -> Constraint:
    """A JSON Schema as a constraint."""
    return Constraint("json_schema", json.dumps(value))


def feed(matcher: Matcher, text: str) -> None:
    """Consume text, asserting that each token of it is allowed."""
    for token in ids(text):
        assert token in matcher.allowed()
        matcher.consume(token)


def test_matcher_walks_a_valid_document_and_finishes(compiler: ConstraintCompiler) -> None:
    """Compact output in schema order is allowed to the end, and then nothing may follow."""
    matcher = compiler.compile(
        schema({"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"],
                "additionalProperties": False})
    )  # fmt: skip
    feed(matcher, '{"b":true}')

    assert matcher.finished


def test_whitespace_is_not_allowed_between_tokens(compiler: ConstraintCompiler) -> None:
    """A weak model cannot run into blanks."""
    matcher = compiler.compile(schema({"type": "object"}))
    feed(matcher, "{")

    assert ids(" ")[0] not in matcher.allowed()


def test_end_is_allowed_exactly_where_the_text_is_complete(compiler: ConstraintCompiler) -> None:
    """A regular expression that may stop after any digit but the first character."""
    matcher = compiler.compile(Constraint("regex", "a[0-9]+"))
    feed(matcher, "a")
    assert EOS not in matcher.allowed()
    feed(matcher, "7")

    assert EOS in matcher.allowed()
    assert not matcher.finished


def test_ids_beyond_the_tokenizer_are_never_allowed(compiler: ConstraintCompiler) -> None:
    """Models pad their vocabulary; the padding means nothing."""
    allowed = compiler.compile(Constraint("regex", "(.|\n)*")).allowed()

    assert np.all(allowed <= EOS)


def test_matchers_of_one_constraint_are_independent(compiler: ConstraintCompiler) -> None:
    """Advancing one choice leaves the others where they were."""
    first, second = (compiler.compile(Constraint("regex", "ab")) for _ in range(2))
    feed(first, "ab")

    assert first.finished
    assert second.allowed().tolist() == ids("a")


def test_masks_of_a_batch_are_those_asked_for_one_by_one(compiler: ConstraintCompiler) -> None:
    """Batches of any size, one after the other, in the same memory."""
    texts = ["a[0-9]+", "(.|\n)*", "ab|cd", "[\u00e9-\u00ff]"]
    batch = MaskBatch()
    for count in (4, 1, 3):
        filled = [compiler.compile(Constraint("regex", text)) for text in texts[:count]]
        batch.fill(filled)
        alone = [compiler.compile(Constraint("regex", text)) for text in texts[:count]]
        assert [m.allowed().tolist() for m in filled] == [m.allowed().tolist() for m in alone]
        feed(filled[0], "a7")


def test_token_outside_the_constraint_breaks_the_matcher(compiler: ConstraintCompiler) -> None:
    """It is an error, never silently accepted."""
    matcher = compiler.compile(Constraint("regex", "ab"))

    with pytest.raises(ConstraintBroken):
        matcher.consume(ids("x")[0])


def _write_on(compiler: ConstraintCompiler, matcher: Matcher) -> None:
    """Take the longest token each time."""
    for _ in range(1000):
        allowed = [int(token) for token in matcher.allowed() if token not in matcher.eos_token_ids]
        matcher.consume(max(allowed, key=lambda token: len(compiler.word(token))))


def test_constraint_that_met_a_limit_is_compiled_anew(compiler: ConstraintCompiler) -> None:
    """Copies share the library's lexer: what is at its limit would stay there for whoever comes next."""
    cubed = Constraint("regex", "((a{1,1000}){1,1000}){1,1000}")
    matcher = compiler.compile(cubed)
    with pytest.raises(ConstraintBroken):
        _write_on(compiler, matcher)

    assert compiler.cached(cubed) is None
    assert len(compiler.compile(cubed).allowed())


def test_lark_grammars_compile(compiler: ConstraintCompiler) -> None:
    """A grammar text is taken as it is."""
    feed(compiler.compile(Constraint("lark", 'start: "x" "y"')), "xy")


@pytest.mark.parametrize(
    "constraint",
    [
        schema({"type": "string", "minLength": 5, "maxLength": 2}),
        schema({"type": "object", "not": {}}),
        schema({"$ref": "#/$defs/missing"}),
        schema({"type": "nonsense"}),
        schema("text"),
        Constraint("json_schema", "{"),
        Constraint("regex", "(unclosed"),
        Constraint("lark", "start: nowhere"),
        Constraint("regex", "x" * 300_000),
    ],
)
def test_what_cannot_be_held_is_refused_with_a_short_reason(
    compiler: ConstraintCompiler, constraint: Constraint
) -> None:
    """One line, without dumps of grammar or state."""
    with pytest.raises(ConstraintRefused) as refusal:
        compiler.compile(constraint)

    assert 0 < len(str(refusal.value)) <= 300
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["yes", 'a "quoted" \\ word', "two\nlines\tand a tab", "{}|()[]", "\x01"])
def test_choice_allows_its_texts_and_nothing_else(compiler: ConstraintCompiler, text: str) -> None:
    """Whatever they are made of."""
    matcher = compiler.compile(text_constraint(ChoiceFormat((text, "other"), "guided_choice"))[0])
    assert sorted(matcher.allowed()) == sorted({ids(text[0])[0], ids("o")[0]})
    feed(matcher, text)

    assert matcher.finished
