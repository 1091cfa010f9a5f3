"""What answers with tools may be, held by the real grammar engine."""

import json

import pytest

from antiphon.core.generation import Constraint
from antiphon.core.messages import CustomTool, FunctionTool, ToolChoice, ToolGrammar
from antiphon.engine.constraint import ConstraintCompiler
from antiphon.text.tools.custom import as_function, raw_grammars, written_texts
from antiphon.text.tools.grammar import (
    MAX_CALLS,
    CallRules,
    arguments_schema,
    can_stand_beside_calls,
    tool_constraint,
)
from antiphon.text.tools.syntax import SYNTAXES
from tests.byte_grammar import accepts, byte_compiler

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (FunctionTool("weather", "Tells it.", CITY), FunctionTool("now"))
NOW = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
WEATHER = '<tool_call>\n{"name": "weather", "arguments": {"city":"Köln"}}\n</tool_call>'
TEXT = "Hello <tool_ {}!"
ANSWER = Constraint(
    "json_schema",
    json.dumps({"type": "object", "properties": {"a": {"type": "integer"}, "name": {"type": "string"}}}),
)


@pytest.fixture(scope="module")
def compiler() -> ConstraintCompiler:
    """A compiler whose tokens are bytes."""
    return byte_compiler()


def constraint(mode: ToolChoice, parallel: bool = True, answer: Constraint | None = None) -> Constraint:
    """The constraint of both tools."""
    return tool_constraint(TOOLS, mode, parallel, answer)


@pytest.mark.parametrize(
    ("choice", "parallel", "accepted", "refused"),
    [
        (
            ToolChoice("auto"),
            True,
            ["", TEXT, NOW, TEXT + WEATHER, f"{NOW}\n{WEATHER}"],
            [f"{NOW}.", "<tool_call>", NOW.replace("now", "new"), NOW.replace("{}", "{ }"), f"{NOW}{NOW}"],
        ),
        (ToolChoice("auto"), False, [TEXT, NOW, WEATHER], [f"{NOW}\n{NOW}"]),
        (ToolChoice("auto", ("now",)), True, [TEXT, NOW], [WEATHER]),
        (ToolChoice("required"), True, [NOW, f"{NOW}\n{WEATHER}"], ["", TEXT, TEXT + NOW]),
        (ToolChoice("required", ("weather",)), True, [WEATHER], [NOW, f"{WEATHER}\n{NOW}"]),
        (ToolChoice("required"), False, [NOW], [f"{NOW}\n{WEATHER}"]),
        (ToolChoice("named", ("now",)), True, [NOW], ["", WEATHER, f"{NOW}\n{NOW}"]),
        (ToolChoice("none"), True, ["", TEXT], [NOW]),
    ],
)
def test_choice_decides_what_may_be_written(
    choice: ToolChoice, parallel: bool, accepted: list[str], refused: list[str], compiler: ConstraintCompiler
) -> None:
    """Whole answers, to their last byte."""
    held = constraint(choice, parallel)

    assert [text for text in accepted if not accepts(compiler, held, text)] == []
    assert [text for text in refused if accepts(compiler, held, text)] == []


def test_answer_in_a_format_or_calls(compiler: ConstraintCompiler) -> None:
    """With a response format the model answers in it or calls, and does nothing else."""
    auto, required = (constraint(ToolChoice(mode), answer=ANSWER) for mode in ("auto", "required"))

    assert [accepts(compiler, auto, text) for text in ('{"a":1}', NOW, TEXT, '{"a":1}' + NOW)] == [
        True,
        True,
        False,
        False,
    ]
    assert [accepts(compiler, required, text) for text in ('{"a":1}', NOW)] == [False, True]
    assert constraint(ToolChoice("none"), answer=ANSWER) == ANSWER


def test_calls_come_to_an_end(compiler: ConstraintCompiler) -> None:
    """There is a greatest number of calls."""
    held = constraint(ToolChoice("required"))

    assert accepts(compiler, held, "\n".join([NOW] * MAX_CALLS))
    assert not accepts(compiler, held, "\n".join([NOW] * (MAX_CALLS + 1)))


@pytest.mark.parametrize(
    ("parameters", "closed"),
    [
        ({}, True),
        ({"type": "object", "properties": {}}, True),
        (CITY, True),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, False),
        ({"anyOf": [CITY]}, False),
        ({"$ref": "#/$defs/x", "$defs": {"x": CITY}}, False),
        ({"properties": {}, "required": ["a"]}, False),
        ({"properties": {"a": {}}, "required": [{}]}, False),
        ({"properties": []}, False),
    ],
)
def test_arguments_nobody_described_are_left_out(parameters: dict[str, object], closed: bool) -> None:
    """Where the schema does not speak of them; it always says `object`."""
    schema = arguments_schema(parameters)

    assert schema["type"] == "object"
    assert (schema.get("additionalProperties") is False) == closed


LARK = """start: expr
expr: NUMBER (("+" | "*") NUMBER)*
NUMBER: /[0-9]+/
%ignore / +/
"""
CALC = CustomTool("calc", None, ToolGrammar("lark", LARK))
PLATE = CustomTool("plate", None, ToolGrammar("regex", "[A-Z]{2}[/ ][0-9]+"))
HEAD = '<tool_call>\n{"name": "%s", "arguments": {"input":"'


@pytest.mark.parametrize(
    ("choice", "accepted", "refused"),
    [
        (
            ToolChoice("required"),
            [HEAD % "calc" + "1 + 22", HEAD % "plate" + 'AB/12"}}\n</tool_call>\n' + NOW],
            [
                HEAD % "calc" + "1 +",
                HEAD % "calc" + '1"}}\n</tool_call>',
                HEAD % "plate" + 'AB"}}\n</tool_call>',
                NOW + "\n" + HEAD % "calc" + "1",
                "1 + 2",
            ],
        ),
        (
            ToolChoice("named", ("calc",)),
            [HEAD % "calc" + "1"],
            [NOW, HEAD % "plate" + 'AB 1"}}\n</tool_call>'],
        ),
        (ToolChoice("auto"), [TEXT, TEXT + HEAD % "calc" + "7*7", NOW], [HEAD % "calc" + "x"]),
    ],
)
def test_input_of_a_custom_tool_is_in_its_grammar(
    choice: ToolChoice, accepted: list[str], refused: list[str], compiler: ConstraintCompiler
) -> None:
    """A Lark input is raw and ends the answer; others are JSON like any argument."""
    tools = [as_function(tool) for tool in (CALC, PLATE, *TOOLS)]
    held = tool_constraint(tools, choice, True, None, CallRules(raw=raw_grammars([CALC, PLATE])))

    assert [text for text in accepted if not accepts(compiler, held, text)] == []
    assert [text for text in refused if accepts(compiler, held, text)] == []


@pytest.mark.parametrize(
    ("syntax", "one", "two"),
    [
        (
            "mistral",
            '[TOOL_CALLS] [{"name": "now", "arguments": {}}]',
            '[TOOL_CALLS] [{"name": "now", "arguments": {}}, {"name": "weather", "arguments": {"city":"é"}}]',
        ),
        (
            "mistral-named",
            "[TOOL_CALLS]now[ARGS]{}",
            '[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]weather[ARGS]{"city":"é"}',
        ),
        (
            "qwen-coder",
            "<tool_call>\n<function=now>\n</function>\n</tool_call>",
            "<tool_call>\n<function=now>\n</function>\n</tool_call>\n<tool_call>\n<function=weather>\n"
            "<parameter=city>\nKöln\n</parameter>\n</function>\n</tool_call>",
        ),
        ("llama", '{"name": "now", "parameters": {}}', None),
        ("bare", '{"name": "now", "arguments": {}}', None),
    ],
)
def test_other_syntaxes_are_held_alike(
    syntax: str, one: str, two: str | None, compiler: ConstraintCompiler
) -> None:
    """Text, calls, and an answer in a format."""
    rules = CallRules(SYNTAXES[syntax], texts={"weather": {"city"}})
    auto, required = (
        tool_constraint(TOOLS, ToolChoice(mode), True, None, rules) for mode in ("auto", "required")
    )
    formatted = tool_constraint(TOOLS, ToolChoice("auto"), True, ANSWER, rules)
    closed = one[:-1]

    assert [accepts(compiler, auto, text) for text in ("", TEXT, one, TEXT + one, closed)] == [True] * 4 + [
        False
    ]
    assert [accepts(compiler, required, text) for text in (one, TEXT, TEXT + one)] == [True, False, False]
    assert [accepts(compiler, formatted, text) for text in (one, '{"a":1}', '{"name":"now"}', TEXT)] == [
        True,
        True,
        True,
        False,
    ]
    if two is not None:
        assert [accepts(compiler, held, two) for held in (auto, required, formatted)] == [True] * 3


def test_opening_that_is_a_control_token_is_held_as_one() -> None:
    """Text does not hold it, so nothing needs to be lazy."""
    rules = CallRules(SYNTAXES["mistral"], controls={"[TOOL_CALLS]": 5})
    text = tool_constraint(TOOLS, ToolChoice("auto"), True, None, rules).text

    assert text.startswith("start: TEXT | TEXT <[5]> called\n")
    assert "lazy" not in text


def test_tag_before_a_call_is_a_token_and_no_text(compiler: ConstraintCompiler) -> None:
    """With it and without it, behind a text or instead of one; spelled out it is no text: it opens calls."""
    rules = CallRules(SYNTAXES["llama"], controls={"<|python_tag|>": 5})
    auto, required = (
        tool_constraint(TOOLS, ToolChoice(mode), True, None, rules) for mode in ("auto", "required")
    )
    call = '{"name": "now", "parameters": {}}'

    assert "| TEXT <[5]> bare_0 | TEXT <[5]> bare_1\n" in auto.text
    assert required.text.startswith("start: bare_0 | bare_1 | <[5]> bare_0 | <[5]> bare_1\n")
    written = ("", "Hi", call, f"Hi {call}", "<|python_tag|>", f"Hi <|python_tag|>{call}")
    assert [accepts(compiler, auto, text) for text in written] == [True] * 4 + [False] * 2


STAY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where."},
        "class": {"type": "string", "enum": ["high", "low"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "guest": {"$ref": "#/$defs/guest"},
    },
    "required": ["city", "days"],
    "$defs": {
        "guest": {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False}
    },
}


@pytest.mark.parametrize(
    ("arguments", "accepted"),
    [
        ({"city": 'A "b"\n<c>', "days": "3"}, True),
        ({"city": "", "class": "low", "days": "3", "guest": '{"name":"x"}'}, True),
        ({"city": "Rome"}, False),
        ({"city": "Rome", "days": "10"}, False),
        ({"city": "Rome", "days": '"3"'}, False),
        ({"city": "Rome", "class": "middle", "days": "3"}, False),
        ({"city": "Rome", "class": '"low"', "days": "3"}, False),
        ({"city": "Rome", "days": "3", "guest": '{"age":3}'}, False),
        ({"city": "Rome", "days": "3", "other": "x"}, False),
    ],
)
def test_parameters_are_held_one_by_one(
    arguments: dict[str, str], accepted: bool, compiler: ConstraintCompiler
) -> None:
    """Each to its own schema, the optional ones there or not."""
    tool = FunctionTool("stay", None, STAY)
    rules = CallRules(SYNTAXES["qwen-coder"], texts=written_texts([tool]))
    held = tool_constraint([tool], ToolChoice("required"), True, None, rules.able_to_write([tool]))
    written = "".join(f"<parameter={name}>\n{value}\n</parameter>\n" for name, value in arguments.items())

    answer = f"<tool_call>\n<function=stay>\n{written}</function>\n</tool_call>"
    assert accepts(compiler, held, answer) is accepted


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a>": {"type": "string"}}},
        {"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "minProperties": 1},
    ],
)
def test_what_parameters_cannot_say_is_said_in_json(schema: dict[str, object]) -> None:
    """Of one such tool, all calls."""
    rules = CallRules(SYNTAXES["qwen-coder"])
    tools = [*TOOLS, FunctionTool("f", None, schema)]

    assert rules.able_to_write(tools).syntax == SYNTAXES["hermes"]
    assert rules.able_to_write(TOOLS).syntax == SYNTAXES["qwen-coder"]


def test_schema_texts_cannot_leave_the_grammar(compiler: ConstraintCompiler) -> None:
    """Quotes, comments and line ends of a schema stay inside it."""
    hostile = '"\n// x\nstart: "a" /*'
    parameters = {"properties": {hostile: {"const": hostile, "description": hostile}}, "required": [hostile]}
    held = tool_constraint([FunctionTool("f", None, parameters)], ToolChoice("required"), False, None)
    arguments = json.dumps({hostile: hostile}, separators=(",", ":"))

    assert accepts(compiler, held, f'<tool_call>\n{{"name": "f", "arguments": {arguments}}}\n</tool_call>')


@pytest.mark.parametrize("name", [name for name, syntax in SYNTAXES.items() if not syntax.in_parameters])
@pytest.mark.parametrize("mode", ["auto", "required"])
def test_free_names_of_arguments_come_once(name: str, mode: str, compiler: ConstraintCompiler) -> None:
    """In every syntax, in a call behind another and beside an answer whose names are free, too."""
    syntax = SYNTAXES[name]
    tools = [FunctionTool("count", "", {"type": "object", "additionalProperties": {"type": "integer"}})]
    answer = Constraint("json_schema", '{"type":"array","items":{"type":"object"}}', ("",))
    held = tool_constraint(tools, ToolChoice(mode), True, answer, CallRules(syntax))  # type: ignore[arg-type]
    later = f"{syntax.between}{syntax.before_name}count{syntax.before_arguments}" if syntax.between else ""

    def called(arguments: str) -> str:
        first = (
            f'{syntax.head("count")}{{"b":1}}{syntax.after_arguments}{later}'
            if later
            else syntax.head("count")
        )
        return f"{first}{arguments}{syntax.after_arguments}{syntax.closing}"

    assert accepts(compiler, held, called('{"a":1,"b":2}'))
    assert not accepts(compiler, held, called('{"a":1,"a":2}'))
    assert accepts(compiler, held, '[{"a":1},{"a":1}]') is (mode == "auto")
    assert not accepts(compiler, held, '[{"a":1,"a":1}]')


def test_text_beside_calls_is_not_watched(compiler: ConstraintCompiler) -> None:
    """It is no JSON, whatever it looks like."""
    tools = [FunctionTool("count", "", {"type": "object", "additionalProperties": {"type": "integer"}})]
    held = tool_constraint(tools, ToolChoice("auto"), True, None)

    assert accepts(compiler, held, '{"a":1,"a":2}')


def test_closed_arguments_are_not_watched() -> None:
    """They cost nothing."""
    assert constraint(ToolChoice("auto")).json_behind == ()


def test_pattern_beside_calls_is_an_answer_of_its_own(compiler: ConstraintCompiler) -> None:
    """It writes all that the pattern allows, except what would be read as a call."""
    answer = Constraint("regex", r"[a-z]+/[0-9]|(?s:<.*)")
    held = tool_constraint(TOOLS, ToolChoice("auto"), True, answer)

    accepted = ["ab/3", "<tool_", "<tool call>\n", NOW, f"{NOW}\n{WEATHER}"]
    refused = ["", "ab", f"ab/3{NOW}", f"<{NOW}", f"{NOW}{NOW}"]
    assert [accepts(compiler, held, text) for text in accepted] == [True] * 5
    assert [accepts(compiler, held, text) for text in refused] == [False] * 5


def test_grammar_stands_beside_calls_where_a_token_opens_them() -> None:
    """Else nobody knows what it could write."""
    answer = Constraint("lark", 'start: "yes" | "no"\n')
    token, text = CallRules(controls={"<tool_call>": 7}), CallRules()

    assert [can_stand_beside_calls(answer, rules) for rules in (token, text)] == [True, False]
    bare, pattern = CallRules(SYNTAXES["llama"]), Constraint("regex", "a")
    assert [can_stand_beside_calls(pattern, rules) for rules in (text, bare)] == [True, False]
    assert "answer: %lark" in tool_constraint(TOOLS, ToolChoice("auto"), True, answer, token).text
