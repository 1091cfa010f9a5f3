"""Response formats as schemas and constraints."""

from random import Random

import pytest

from antiphon.core.generation import Constraint
from antiphon.core.messages import ChoiceFormat, JsonObjectFormat, JsonSchemaFormat, PatternFormat
from antiphon.engine.constraint import ConstraintCompiler, Matcher
from antiphon.text.response_format import ANY_OBJECT, schema_of, text_constraint
from antiphon.text.schema.validator import AnswerInvalid
from tests.byte_grammar import EOS, byte_compiler, text_of, token_of


def test_json_mode_asks_for_an_object() -> None:
    """JSON mode means an object, not any value; so does a named format that says nothing else."""
    assert schema_of(JsonObjectFormat()) == {"type": "object"}
    assert schema_of(JsonSchemaFormat("anything", {})) == ANY_OBJECT


def test_schema_is_the_callers() -> None:
    """Nothing is sorted on the way."""
    schema = {"type": "object", "properties": {"zoë": {}, "adam": {}}}

    assert schema_of(JsonSchemaFormat("people", schema)) is schema


def test_pattern_is_passed_on() -> None:
    """In the language it is written in."""
    constraint, check = text_constraint(PatternFormat("regex", "a+|b", "guided_regex"))

    assert constraint == Constraint("regex", "a+|b")
    assert check is not None
    check.check("aa")
    for text in ("aab", "", "a\n", "ab"):
        with pytest.raises(AnswerInvalid):
            check.check(text)


@pytest.mark.parametrize("pattern", [r"\bword\b", "a**", "(?i)a", "[a&&b]{1,1000000}"])
def test_pattern_that_only_the_grammar_library_reads_is_left_to_it(pattern: str) -> None:
    """Nobody else could say what it matches."""
    assert text_constraint(PatternFormat("regex", pattern, "guided_regex")) == (
        Constraint("regex", pattern),
        None,
    )


@pytest.mark.parametrize(
    "pattern", [r"\d{2}\.\d", r"[\w-]+@\w+", r".{3}", r"(?:a|\s)\W", r"[^\d\s]x", "é|ß+", "^a$"]
)
def test_what_is_written_under_a_pattern_passes_its_check(pattern: str, compiler: ConstraintCompiler) -> None:
    """Where dialects differ, only what is common to them is written."""
    constraint, check = text_constraint(PatternFormat("regex", pattern, "guided_regex"))
    assert check is not None
    for seed in range(50):
        check.check(_walked(compiler.compile(constraint), Random(seed)))


def _walked(matcher: Matcher, chance: Random) -> str:
    tokens: list[int] = []
    while not matcher.finished:
        allowed = matcher.allowed().tolist()
        ending = [token for token in (EOS, token_of("@")) if token in allowed]
        token = ending[0] if ending and chance.random() < 0.2 else chance.choice(allowed)
        if token == EOS:
            break
        matcher.consume(token)
        tokens.append(token)
    return text_of(tokens)


@pytest.fixture(scope="module")
def compiler() -> ConstraintCompiler:
    """A compiler whose tokens are bytes."""
    return byte_compiler()


def test_choice_is_a_grammar_of_its_texts() -> None:
    """Quoted, in their order."""
    wanted = ChoiceFormat(("a", 'b"'), "guided_choice")

    constraint, check = text_constraint(wanted)
    assert constraint == Constraint("lark", 'start: "a" | "b\\""\n')
    assert check is not None
    check.check('b"')
    with pytest.raises(AnswerInvalid):
        check.check("b")


def test_nobody_checks_a_grammar() -> None:
    """Its dialect is the grammar library's own."""
    wanted = PatternFormat("lark", 'start: "a"', "guided_grammar")

    assert text_constraint(wanted) == (Constraint("lark", 'start: "a"'), None)
