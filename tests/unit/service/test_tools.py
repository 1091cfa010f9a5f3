"""Completions with tools, on the fake engine."""

import json
import re

import pytest

from antiphon.core.errors import FunctionSchemaRefused, InvalidValue, SchemaRefused, ToolGrammarRefused
from antiphon.core.events import AssistantEvent, ChoiceEnded, Failed, ToolArgumentsDelta, ToolCallStarted
from antiphon.core.generation import Constraint
from antiphon.core.messages import (
    ChatRequest,
    ChoiceFormat,
    CustomTool,
    FunctionTool,
    JsonSchemaFormat,
    Message,
    PatternFormat,
    Tool,
    ToolChoice,
    ToolGrammar,
)
from antiphon.engine.backends.fake import FakeChatTemplate, say
from tests.unit.service.serving import Server, ending_of, text_of

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = FunctionTool("weather", "Tells it.", CITY)
NOW = FunctionTool("now")
AUTO = ToolChoice()
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city":"Paris"}}\n</tool_call>'


def asking(choice: ToolChoice = AUTO, *tools: Tool, **fields: object) -> ChatRequest:
    """A request with tools."""
    return ChatRequest(
        "fake",
        (Message("user", "Hi"),),
        tools=tools or (WEATHER, NOW),
        tool_choice=choice,
        **fields,  # type: ignore[arg-type]
    )


def calls_of(events: list[AssistantEvent]) -> list[tuple[str, str]]:
    """Names and arguments."""
    arguments = [event for event in events if isinstance(event, ToolArgumentsDelta)]
    return [
        (call.name, "".join(more.text for more in arguments if more.index == call.index))
        for call in events
        if isinstance(call, ToolCallStarted)
    ]


def reason_of(events: list[AssistantEvent]) -> str:
    """Why the only choice ended."""
    (reason,) = [event.reason for event in events if isinstance(event, ChoiceEnded)]
    return reason


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (ToolChoice("auto"), "tool_calls"),
        (ToolChoice("required"), "tool_calls"),
        (ToolChoice("required", ("weather",)), "tool_calls"),
        (ToolChoice("named", ("weather",)), "stop"),
    ],
)
async def test_call_is_told_with_its_reason(mode: ToolChoice, reason: str) -> None:
    """Where the caller named the function, OpenAI says `stop`."""
    events = await Server(lambda *_: say(CALL[:30], CALL[30:])).answer(asking(mode))

    assert calls_of(events) == [("weather", '{"city":"Paris"}')]
    assert reason_of(events) == reason
    assert text_of(events) == ""


async def test_text_may_come_before_calls() -> None:
    """And is not part of them."""
    events = await Server(lambda *_: say("Well. ", CALL, "\n", CALL)).answer(asking())

    assert text_of(events) == "Well. "
    assert [name for name, _ in calls_of(events)] == ["weather", "weather"]


async def test_budget_beats_every_other_reason() -> None:
    """Also in the middle of the arguments."""
    events = await Server(lambda *_: say(CALL)).answer(asking(max_tokens=len(CALL) - 18))

    assert reason_of(events) == "length"
    assert calls_of(events) == [("weather", '{"city":"Par')]


async def test_stop_string_does_not_cut_a_call() -> None:
    """Arguments stay whole; text is cut as ever."""
    called = await Server(lambda *_: say(CALL)).answer(asking(stop=("Paris",)))
    spoken = await Server(lambda *_: say("Paris and ", CALL)).answer(asking(stop=(" and",)))

    assert calls_of(called) == [("weather", '{"city":"Paris"}')]
    assert (text_of(spoken), calls_of(spoken), reason_of(spoken)) == ("Paris", [], "stop")


async def test_tag_is_text_where_there_is_nothing_to_call() -> None:
    """Without tools, and with tools that must not be called."""
    without = await Server(lambda *_: say(CALL)).answer(ChatRequest("fake", (Message("user", "Hi"),)))
    forbidden = await Server(lambda *_: say("<tool")).answer(asking(ToolChoice("none")))

    assert (text_of(without), reason_of(without)) == (CALL, "stop")
    assert (text_of(forbidden), reason_of(forbidden)) == ("<tool", "stop")


async def test_engine_that_lets_go_of_the_grammar_has_failed() -> None:
    """What cannot be read is never passed on as a call."""
    events = await Server(lambda *_: say("<tool_call>rubbish")).answer(asking())

    assert isinstance(ending_of(events), Failed)


async def test_prompt_tells_of_the_tools_and_the_grammar_of_those_allowed() -> None:
    """All are told, so that equal prompts share their prefix; only some may be called."""
    server = Server(lambda *_: say(CALL))
    for mode in (ToolChoice("none"), ToolChoice("required", ("weather",))):
        await server.answer(asking(mode))
    none, some = server.asked

    assert none.prompt == some.prompt
    assert b"Tells it." in bytes(token for token in none.prompt if token < 256)
    assert some.constraint is not None
    assert '"name\\": \\"weather' in some.constraint.text
    assert '"name\\": \\"now' not in some.constraint.text


async def test_schema_that_cannot_be_held_is_refused_only_where_it_is_strict() -> None:
    """By its place and name; others are held to be an object."""
    odd = FunctionTool("odd", None, {"type": "object", "properties": {"a": {"not": {"minimum": 3}}}})
    strict = FunctionTool("odd", None, odd.parameters, strict=True)
    server = Server(lambda *_: say('<tool_call>\n{"name": "odd", "arguments": {}}\n</tool_call>'))

    with pytest.raises(FunctionSchemaRefused) as refused:
        await server.answer(asking(AUTO, WEATHER, strict))
    events = await server.answer(asking(AUTO, WEATHER, odd))

    assert (refused.value.tool, refused.value.name) == (1, "odd")
    assert calls_of(events) == [("odd", "{}")]
    constraint = server.asked[-1].constraint
    assert constraint is not None
    assert '"city"' in constraint.text
    assert '"not"' not in constraint.text
    assert server.idle


async def test_schemas_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each could be held, all of them could not."""
    server = Server()

    async def check(constraint: Constraint) -> None:
        if constraint.kind == "lark":
            raise SchemaRefused("", "too large.")

    monkeypatch.setattr(server.engine, "check", check)
    with pytest.raises(InvalidValue) as refused:
        await server.answer(asking())
    assert (refused.value.param, server.idle) == ("tools", True)


CALC = CustomTool("calc", "Computes.", ToolGrammar("lark", 'start: "1" ("+1")*'))
PLATE = CustomTool("plate", None, ToolGrammar("regex", "[A-Z]{2}"))
NOTE = CustomTool("note")


@pytest.mark.parametrize("tool", [CALC, PLATE, NOTE], ids=lambda tool: tool.name)
async def test_custom_tool_is_called_with_an_input_of_its_grammar(tool: CustomTool) -> None:
    """The input is text, not JSON; the model is told of the tool."""
    server = Server()
    events = await server.answer(
        asking(ToolChoice("required", (tool.name,)), tool, WEATHER, parallel_tool_calls=False)
    )
    ((name, text),) = calls_of(events)

    assert (name, reason_of(events)) == (tool.name, "tool_calls")
    assert re.fullmatch({"calc": r"1(\+1)*", "plate": "[A-Z]{2}", "note": "[^{]*"}[name], text)
    assert all(event.custom for event in events if isinstance(event, ToolCallStarted))
    assert f'"name": "{tool.name}"'.encode() in bytes(
        token for token in server.asked[0].prompt if token < 256
    )


async def test_input_is_told_as_it_comes() -> None:
    """Free of its JSON; a raw one is all that follows its head."""
    head = '<tool_call>\n{"name": "%s", "arguments": {"input":"'
    note = head % "note" + 'a\\"\\u00e9"}}\n</tool_call>'
    both = await Server(lambda *_: say(f"Hm. {note}\n{CALL}")).answer(asking(AUTO, NOTE, WEATHER))
    raw = await Server(lambda *_: say(head % "calc", "1", "+1")).answer(asking(AUTO, CALC))

    assert (text_of(both), calls_of(both)) == ("Hm. ", [("note", 'a"é'), ("weather", '{"city":"Paris"}')])
    assert calls_of(raw) == [("calc", "1+1")]


@pytest.mark.parametrize(
    "grammar",
    [ToolGrammar("lark", "start: nowhere"), ToolGrammar("regex", "(a"), ToolGrammar("regex", "a)|(b")],
)
async def test_grammar_that_does_not_compile_is_refused_by_its_place(grammar: ToolGrammar) -> None:
    """Before anything is generated."""
    server = Server()
    with pytest.raises(ToolGrammarRefused) as refused:
        await server.answer(asking(AUTO, WEATHER, CustomTool("c", None, grammar)))

    assert (refused.value.tool, refused.value.name, server.idle) == (1, "c", True)
    assert refused.value.reason


async def test_answer_keeps_its_format_beside_tools() -> None:
    """One or the other, whatever chance decides."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wanted = JsonSchemaFormat("n", schema, strict=True)
    kinds = set()
    for number in range(12):
        request = asking(AUTO, WEATHER, response_format=wanted)
        events = await Server().answer(
            ChatRequest(**{**_fields(request), "messages": (Message("user", str(number)),)})  # type: ignore[arg-type]
        )
        calls = calls_of(events)
        kinds.add(bool(calls))
        if not calls:
            assert set(json.loads(text_of(events))) == {"a"}
    assert kinds == {True, False}


def _fields(request: ChatRequest) -> dict[str, object]:
    return {name: getattr(request, name) for name in ChatRequest.__dataclass_fields__}


def coder() -> FakeChatTemplate:
    """The template of a model that writes arguments one by one."""
    template = FakeChatTemplate()
    template.call_syntax = "qwen-coder"
    return template


async def test_arguments_that_are_written_one_by_one_come_as_json() -> None:
    """Functions' and custom tools'."""
    said = (
        '<tool_call>\n<function=weather>\n<parameter=city>\n"Paris"\n</parameter>\n</function>\n</tool_call>'
        "\n<tool_call>\n<function=note>\n<parameter=input>\na\nb\n</parameter>\n</function>\n</tool_call>"
    )
    events = await Server(lambda *_: say(said), template=coder()).answer(
        asking(AUTO, WEATHER, CustomTool("note"))
    )

    assert calls_of(events) == [("weather", '{"city":"\\"Paris\\""}'), ("note", "a\nb")]
    assert reason_of(events) == "tool_calls"


async def test_tool_that_cannot_be_called_so_is_called_in_json() -> None:
    """With the others of its request; what the grammar writes is what is read."""
    free = FunctionTool("free", None, {"type": "object", "additionalProperties": {"type": "integer"}})
    server = Server(template=coder())
    for tools in ((WEATHER,), (WEATHER, free)):
        events = await server.answer(asking(ToolChoice("required"), *tools))
        assert all(isinstance(json.loads(arguments), dict) for _, arguments in calls_of(events))
        assert calls_of(events)

    written = [request.constraint.text for request in server.asked if request.constraint]
    assert ["<function=" in text for text in written] == [True, False]


async def test_pattern_and_choices_may_be_answered_instead_of_a_call() -> None:
    """A Lark grammar where calls open with plain text could write one, and is refused by its name."""
    server = Server()
    for wanted in (
        PatternFormat("regex", "[ab]{3}", "guided_regex"),
        ChoiceFormat(("yes", "no"), "guided_choice"),
    ):
        events = await server.answer(asking(response_format=wanted))
        assert re.fullmatch("[ab]{3}|yes|no", text_of(events)) or calls_of(events)
    for refused in (
        PatternFormat("lark", 'start: "a"', "guided_grammar"),
        ChoiceFormat(("yes", "<tool_call>"), "guided_choice"),
    ):
        with pytest.raises(InvalidValue) as caught:
            await server.answer(asking(response_format=refused))
        assert caught.value.param == refused.label
    assert server.idle
