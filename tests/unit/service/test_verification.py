"""The last look at an answer: valid ones pass, others become this server's error and are counted."""

import json
from dataclasses import replace
from typing import Any

import pytest

from antiphon.core.errors import AnswerBroken
from antiphon.core.events import Completed, Failed
from antiphon.core.messages import (
    ChoiceFormat,
    CustomTool,
    FunctionTool,
    JsonSchemaFormat,
    PatternFormat,
    ToolChoice,
    ToolGrammar,
)
from antiphon.engine.backends.fake import Script, say
from antiphon.text.schema.validator import AnswerInvalid, AnswerValidator, strict_json
from tests.unit.service.serving import HELLO, Server, ending_of

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
WANTED = replace(HELLO, response_format=JsonSchemaFormat("thing", SCHEMA, strict=True))
TOOL = FunctionTool("f", None, SCHEMA, strict=True)
CALL = '<tool_call>\n{"name": "f", "arguments": %s}\n</tool_call>'


def saying(text: str) -> Server:
    """A server whose engine says this, whatever it was asked for: a grammar that lies."""
    return Server(lambda request, choice: say(text))


def violations(server: Server) -> float:
    """What operators see."""
    ((_, count),) = server.metrics.samples()["antiphon_schema_violations_total"]
    return count


async def test_valid_answer_passes() -> None:
    """Nothing is counted."""
    server = saying('{"a":1}')
    assert isinstance(ending_of(await server.answer(WANTED)), Completed)
    assert violations(server) == 0


@pytest.mark.parametrize("text", ['{"a":"1"}', "{}", '{"a":1', "hello", '{"a":1e999}'])
async def test_answer_that_breaks_its_schema_is_an_error(text: str) -> None:
    """Told before the end of the choice, in place of it."""
    server = saying(text)
    ending = ending_of(await server.answer(WANTED))

    assert isinstance(ending, Failed)
    assert isinstance(ending.error, AnswerBroken)
    assert violations(server) == 1
    assert server.idle


async def test_large_answer_is_checked_too() -> None:
    """In a thread."""
    text = '{"a":1,"b":"' + "x" * 8_000 + '"'
    request = replace(
        WANTED, response_format=JsonSchemaFormat("thing", SCHEMA | {"additionalProperties": True})
    )
    good, bad = saying(text + "}"), saying(text)

    assert isinstance(ending_of(await good.answer(request)), Completed)
    assert isinstance(ending_of(await bad.answer(request)), Failed)


async def test_answer_that_was_cut_is_not_checked() -> None:
    """By its budget or by the caller's stop string: it is a prefix, and says so."""
    cut = Server(lambda request, choice: Script(say('{"a":1').pieces, end="length"))
    stopped = saying('{"a":1 STOP')

    assert isinstance(ending_of(await cut.answer(WANTED)), Completed)
    assert isinstance(ending_of(await stopped.answer(replace(WANTED, stop=("STOP",)))), Completed)


@pytest.mark.parametrize(
    ("arguments", "ending"), [('{"a": 1}', Completed), ('{"a": "x"}', Failed), ("{}", Failed)]
)
async def test_arguments_of_calls_are_checked(arguments: str, ending: type) -> None:
    """Against the function's own schema."""
    request = replace(HELLO, tools=(TOOL,), tool_choice=ToolChoice("required"))

    assert isinstance(ending_of(await saying(CALL % arguments).answer(request)), ending)


@pytest.mark.parametrize(
    ("wanted", "text", "ending"),
    [
        (PatternFormat("regex", "[a-f]{3}", "guided_regex"), "abc", Completed),
        (PatternFormat("regex", "[a-f]{3}", "guided_regex"), "abcd", Failed),
        (ChoiceFormat(("yes", "no"), "guided_choice"), "yes", Completed),
        (ChoiceFormat(("yes", "no"), "guided_choice"), "ye", Failed),
    ],
)
async def test_patterns_and_choices_are_checked(
    wanted: PatternFormat | ChoiceFormat, text: str, ending: type
) -> None:
    """Like JSON."""
    assert isinstance(ending_of(await saying(text).answer(replace(HELLO, response_format=wanted))), ending)


@pytest.mark.parametrize(("text", "ending"), [("12-3", Completed), ("12-", Failed)])
async def test_inputs_of_custom_tools_are_checked(text: str, ending: type) -> None:
    """Against their pattern, without the JSON around them."""
    tool = CustomTool("f", None, ToolGrammar("regex", r"\d+-\d"))
    request = replace(HELLO, tools=(tool,), tool_choice=ToolChoice("required"))
    arguments = json.dumps({"input": text}, separators=(",", ":"))

    assert isinstance(ending_of(await saying(CALL % arguments).answer(request)), ending)


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "NaN", "[1e400]", "{} {}", "", "9" * 5000, "[" * 100_000])
def test_json_that_clients_may_not_read_is_invalid(text: str) -> None:
    """Two properties of one name, no finite number, more than one value, too deep."""
    with pytest.raises(AnswerInvalid):
        strict_json(text)


def test_formats_are_checked_and_the_text_is_not_told() -> None:
    """The message names the keyword alone."""
    with pytest.raises(AnswerInvalid) as invalid:
        AnswerValidator({"type": "string", "format": "date"}).check('"2021-02-29"')

    assert "format" in str(invalid.value)
    assert "2021" not in str(invalid.value)


LARK = PatternFormat("lark", 'start: "a"+', "guided_grammar")
LARK_TOOL = CustomTool("f", None, ToolGrammar("lark", 'start: "a"+'))


@pytest.mark.parametrize(
    ("changes", "text", "count"),
    [
        ({"response_format": LARK}, "aa", 1),
        ({"response_format": LARK, "choices": 2}, "aa", 2),
        ({"tools": (LARK_TOOL,)}, "hello", 0),
        ({"tools": (LARK_TOOL,), "tool_choice": ToolChoice("required")}, CALL % '{"input":"a"}', 1),
        ({"response_format": WANTED.response_format}, '{"a":1}', 0),
        ({"response_format": WANTED.response_format, "stop": ("STOP",)}, '{"a":1 STOP', 1),
        ({"response_format": WANTED.response_format, "stop_token_ids": (9,)}, '{"a":1}', 1),
        ({}, "hello", 0),
    ],
)
async def test_what_nothing_else_read_is_counted(changes: dict[str, Any], text: str, count: int) -> None:
    """Answers under Lark, and those that the caller had cut."""
    server = saying(text)
    assert isinstance(ending_of(await server.answer(replace(HELLO, **changes))), Completed)

    ((_, found),) = server.metrics.samples()["antiphon_unchecked_answers_total"]
    assert found == count
