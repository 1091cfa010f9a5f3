"""Blocks of reasoning: found in prompts, taken off answers, kept outside of constraints."""

import json

import pytest

from antiphon.core.generation import Constraint
from antiphon.core.messages import FunctionTool, ToolChoice
from antiphon.engine.constraint import ConstraintCompiler
from antiphon.text.reasoning import (
    ReasoningBlock,
    ReasoningSplitter,
    behind_reasoning,
    block_behind,
    tags_in,
    without_reasoning,
)
from antiphon.text.tools.grammar import CallRules, tool_constraint
from tests.byte_grammar import accepts, byte_compiler

TAGS = ("<think>", "</think>")
BEGUN, MAYBE = ReasoningBlock(*TAGS, begun=True), ReasoningBlock(*TAGS, begun=False)


@pytest.fixture(scope="module")
def compiler() -> ConstraintCompiler:
    """A compiler whose tokens are bytes."""
    return byte_compiler()


def split(block: ReasoningBlock, *pieces: str) -> tuple[str, str]:
    """What is thought and what is said."""
    splitter = ReasoningSplitter(block)
    parts = [*(splitter.push(piece.encode()) for piece in pieces), splitter.flush()]
    return b"".join(thought for thought, _ in parts).decode(), b"".join(said for _, said in parts).decode()


@pytest.mark.parametrize(
    ("template", "tags"),
    [
        ("{{ m }}", None),
        ("m.split('</think>')[-1]", TAGS),
        ("[THINK]{{ m }}[/THINK]", ("[THINK]", "[/THINK]")),
    ],
)
def test_template_tells_whether_its_model_thinks(template: str, tags: tuple[str, str] | None) -> None:
    """By the tags it speaks of."""
    assert tags_in(template) == tags


@pytest.mark.parametrize(
    ("prompt", "block"),
    [
        ("assistant\n", MAYBE),
        ("assistant\n<think>\n", BEGUN),
        ("assistant\n<think>\n\n</think>\n\n", None),
    ],
)
def test_prompt_tells_where_the_answer_begins(prompt: str, block: ReasoningBlock | None) -> None:
    """In the block, behind it, or before it."""
    assert block_behind(prompt, TAGS) == block
    assert block_behind(prompt, None) is None


def test_open_block_is_closed_where_nothing_is_to_be_thought() -> None:
    """Other prompts stay as they are."""
    assert without_reasoning("a<think>\n", TAGS) == "a<think>\n\n</think>\n\n"
    assert [without_reasoning("a", TAGS), without_reasoning("a<think>", None)] == ["a", "a<think>"]


@pytest.mark.parametrize(
    ("block", "text", "thought", "said"),
    [
        (MAYBE, "<think>\nA b\n</think>\n\nC ", "A b", "C "),
        (MAYBE, " \n<think></think>C", "", "C"),
        (MAYBE, " <thin air", "", " <thin air"),
        (MAYBE, "Hi <think>a</think>", "", "Hi <think>a</think>"),
        (MAYBE, "<thi", "", "<thi"),
        (MAYBE, "<think>é </thin", "é </thin", ""),
        (BEGUN, "a</think>\n", "a", ""),
        (BEGUN, "<think>a</think>b</think>", "<think>a", "b</think>"),
    ],
)
def test_what_is_thought_is_taken_apart(block: ReasoningBlock, text: str, thought: str, said: str) -> None:
    """Without the white space around it, for the whole text and letter by letter."""
    assert split(block, text) == (thought, said)
    assert split(block, *text) == (thought, said)


OBJECT = Constraint("json_schema", json.dumps({"type": "object", "properties": {"a": {"type": "integer"}}}))
NOW = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
CALLS = tool_constraint([FunctionTool("now")], ToolChoice("auto"), True, None, CallRules(not_from="<think>"))


@pytest.mark.parametrize(
    ("constraint", "block", "accepted", "refused"),
    [
        (OBJECT, BEGUN, ["a{</think>\n\n{}", '</think>{"a":1}'], ["{}", "a</think>x", "a"]),
        (OBJECT, MAYBE, ["{}", "<think>\n{}x\n</think>{}"], ["a</think>{}", "<think>a", "x"]),
        (
            CALLS,
            MAYBE,
            ["Hi", NOW, f"Hi {NOW}", f"<think>{NOW[:20]}</think>{NOW}", "<think>a</think>Hi", f"<th{NOW}"],
            [f"<think>a</think>{NOW}x", f"{NOW}<think>"],
        ),
        (CALLS, BEGUN, [f"<tool_call>x</think>{NOW}", "a</think>Hi"], ["Hi", f"a</think>{NOW}x"]),
        (Constraint("regex", "a/b"), MAYBE, ["a/b", "<think>a/b</think>a/b"], ["<think>a</think>b"]),
        (Constraint("lark", 'start: "a"\n%ignore / /'), BEGUN, ["x</think>a"], ["a"]),
    ],
    ids=["schema", "schema, maybe", "calls, maybe", "calls", "regex", "lark"],
)
def test_constraint_begins_behind_the_block(
    constraint: Constraint,
    block: ReasoningBlock,
    accepted: list[str],
    refused: list[str],
    compiler: ConstraintCompiler,
) -> None:
    """Anything may be thought."""
    held = behind_reasoning(constraint, block, {})

    assert [text for text in accepted if not accepts(compiler, held, text)] == []
    assert [text for text in refused if accepts(compiler, held, text)] == []


@pytest.mark.parametrize(
    ("block", "text"), [(BEGUN, '{{"</think> {}'), (MAYBE, '<think>{"a":1,"a":2}</think>{}'), (MAYBE, "{}")]
)
def test_free_names_are_watched_behind_the_block_alone(
    block: ReasoningBlock, text: str, compiler: ConstraintCompiler
) -> None:
    """Thoughts may say a name twice, the object behind them must not."""
    held = behind_reasoning(Constraint("json_schema", '{"type":"object"}', ("",)), block, {})
    once, twice = (text.replace("{}", each) for each in ('{"a":1}', '{"a":1,"a":2}'))

    assert [accepts(compiler, held, each) for each in (once, twice)] == [True, False]


def test_tags_that_are_control_tokens_are_held_as_such() -> None:
    """They are one token each, which no text holds."""
    rules = behind_reasoning(OBJECT, MAYBE, {"<think>": 7, "</think>": 8}).text

    assert rules.startswith("start: <[7]> THOUGHT <[8]> SPACE answer | answer\n")
