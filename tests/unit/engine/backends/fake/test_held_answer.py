"""Answers of the fake engine under grammars."""

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
    without = lark("start: TEXT", "TEXT: /(?s:.*)/ & ~/(?s:.*)<t>(?s:.*)/")
    up_to = lark("start: text", "text[lazy]: /(?s:.*)<t>/")

    for seed in range(20):
        assert "<t>" not in held_answer(without, Random(seed))
        assert held_answer(up_to, Random(seed)).endswith("<t>")


@pytest.mark.parametrize(
    "grammar",
    [
        lark("start: /a/"),
        lark("start: b"),
        lark("start: start"),
        lark("start: a?", 'a: "x"'),
        lark('b: "x"', "c: d"),
    ],
)
def test_grammar_beyond_the_fake_is_refused(grammar: Constraint) -> None:
    """It never answers under half of one."""
    with pytest.raises(SchemaRefused, match="grammar"):
        check_constraint(grammar)
