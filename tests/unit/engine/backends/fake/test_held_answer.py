"""Answers of the fake engine under grammars."""

import re
from random import Random

import pytest

from antiphon.core.errors import SchemaRefused
from antiphon.core.generation import Constraint
from antiphon.engine.backends.fake.held_answer import check_constraint, held_answer


def lark(*rules: str) -> Constraint:
    """A grammar of these rules."""
    return Constraint("lark", "".join(f"{rule}\n" for rule in rules))


def test_rules_are_followed() -> None:
    """Literals, references, repetition as seldom as allowed, and schemas."""
    grammar = lark('start: "a\\n" item ("-" item){2,5}', 'item: %json {"const": 1}')

    check_constraint(grammar)
    assert held_answer(grammar, Random(0)) == "a\n1-1-1"


def test_chance_picks_the_alternative() -> None:
    """Both come up, the same for the same chance."""
    grammar = lark('start: "a" | "b"')

    assert {held_answer(grammar, Random(seed)) for seed in range(20)} == {"a", "b"}
    assert held_answer(grammar, Random(1)) == held_answer(grammar, Random(1))


def test_any_text_keeps_away_from_the_tag() -> None:
    """Or ends in it, as the rule says."""
    without = lark("start: TEXT", "TEXT: /(?s:.*)/ & ~/(?s:.*)(<t>)(?s:.*)/")
    up_to = lark("start: text", "text[lazy]: /(?s:.*)(<t>)/")

    for seed in range(20):
        assert "<t>" not in held_answer(without, Random(seed))
        assert held_answer(up_to, Random(seed)).endswith("<t>")


@pytest.mark.parametrize(
    ("constraint", "answer"),
    [
        (lark("start: /a/"), "a"),
        (lark("start: a? b", 'a: "x"', 'b: "y"{2}'), "[x]?yy"),
        (lark('start: "f(" inner', 'inner: %lark {\nstart: "b" /[0-9]{2}/ ")"\n}'), r"f\(b\d\d\)"),
        (Constraint("regex", "[ab]{3}|é"), "[ab]{3}|é"),
    ],
)
def test_other_constraints_are_walked_through(constraint: Constraint, answer: str) -> None:
    """With the real grammar engine, always the same way."""
    check_constraint(constraint)

    assert re.fullmatch(answer, held_answer(constraint, Random(0)))
    assert held_answer(constraint, Random(0)) == held_answer(constraint, Random(1))


@pytest.mark.parametrize(
    "constraint",
    [
        lark("start: b"),
        lark("start: start"),
        lark('b: "x"', "c: d"),
        Constraint("regex", "(a"),
        Constraint("regex", "[ab]{5000}"),
        Constraint("lark", "start: %lark {\n"),
    ],
)
def test_constraint_without_an_answer_is_refused(constraint: Constraint) -> None:
    """It does not compile, or its answers are too long."""
    with pytest.raises(SchemaRefused):
        check_constraint(constraint)
