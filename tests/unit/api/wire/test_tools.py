"""Tools and the choice among them, in both of the API's forms."""

import pytest

from antiphon.api.wire.reader import Cursor
from antiphon.api.wire.tools import (
    MAX_TOOLS,
    read_function_choice,
    read_functions,
    read_tool_choice,
    read_tools,
)
from antiphon.core.errors import (
    AntiphonError,
    ArrayTooLong,
    EmptyArray,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    StringTooLong,
)
from antiphon.core.messages import CustomTool, FunctionTool, ToolChoice, ToolGrammar

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def tool(**function: object) -> dict[str, object]:
    """A function tool on the wire, with a key that nobody knows."""
    return {"type": "function", "function": {"name": "f", **function}, "cache_control": {}}


def custom(**fields: object) -> dict[str, object]:
    """A custom tool on the wire."""
    return {"type": "custom", "custom": {"name": "c", **fields}}


def grammar(syntax: object, definition: object) -> dict[str, object]:
    """A custom tool whose input has a grammar."""
    return custom(format={"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}})


def named(name: str) -> dict[str, object]:
    """A function as choices name it."""
    return {"type": "function", "function": {"name": name}}


def test_tools_are_read_whole() -> None:
    """With the schema untouched, its order kept."""
    tools = [tool(description="d", parameters=SCHEMA, strict=True), tool(name="g-1_x", strict=None)]

    assert read_tools(Cursor(tools)) == (
        FunctionTool("f", "d", SCHEMA, strict=True),
        FunctionTool("g-1_x"),
    )
    assert read_functions(Cursor([{"name": "f", "parameters": SCHEMA}])) == (FunctionTool("f", None, SCHEMA),)


def test_custom_tools_are_read_whole() -> None:
    """Free text where nothing else is said."""
    tools = [
        custom(description="d"),
        custom(name="t", format={"type": "text"}),
        {**grammar("lark", "start: /a/"), "x": 1},
    ]

    assert read_tools(Cursor([tools[0]])) == (CustomTool("c", "d"),)
    assert read_tools(Cursor(tools[1:])) == (
        CustomTool("t"),
        CustomTool("c", None, ToolGrammar("lark", "start: /a/")),
    )


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}, {"type": ["object", "null"]}])
def test_function_without_arguments_passes(parameters: object) -> None:
    """Frameworks spell it in many ways."""
    assert len(read_tools(Cursor([tool(parameters=parameters)]))) == 1


@pytest.mark.parametrize(
    ("value", "error", "param"),
    [
        (1, InvalidType, "tools"),
        ([1], InvalidType, "tools[0]"),
        ([{}] * (MAX_TOOLS + 1), ArrayTooLong, "tools"),
        ([{}], MissingParameter, "tools[0].type"),
        ([custom(name="a b")], InvalidValue, "tools[0].custom.name"),
        ([tool(), custom(name="f")], InvalidValue, "tools[1].custom.name"),
        ([custom(description=1)], InvalidType, "tools[0].custom.description"),
        ([custom(format="text")], InvalidType, "tools[0].custom.format"),
        ([custom(format={"type": "json"})], InvalidValue, "tools[0].custom.format.type"),
        ([custom(format={"type": "grammar"})], MissingParameter, "tools[0].custom.format.grammar"),
        ([grammar("gbnf", "x")], InvalidValue, "tools[0].custom.format.grammar.syntax"),
        ([grammar("lark", None)], InvalidType, "tools[0].custom.format.grammar.definition"),
        ([{"type": "retrieval"}], InvalidValue, "tools[0].type"),
        ([{"type": "function"}], MissingParameter, "tools[0].function"),
        ([tool(), tool(name=1)], InvalidType, "tools[1].function.name"),
        ([tool(name="")], InvalidValue, "tools[0].function.name"),
        ([tool(name="f\n")], InvalidValue, "tools[0].function.name"),
        ([tool(name="x" * 65)], StringTooLong, "tools[0].function.name"),
        ([tool(description=1)], InvalidType, "tools[0].function.description"),
        ([tool(strict="yes")], InvalidType, "tools[0].function.strict"),
        ([tool(parameters=[])], InvalidType, "tools[0].function.parameters"),
    ],
)
def test_bad_tools_are_refused_with_their_path(
    value: object, error: type[InvalidRequest], param: str
) -> None:
    """The first violation, where it is."""
    with pytest.raises(error) as caught:
        read_tools(Cursor(value, "tools"))
    assert type(caught.value) is error
    assert caught.value.param == param


def test_bad_name_is_told_in_the_words_clients_know() -> None:
    """OpenAI's."""
    with pytest.raises(InvalidValue) as caught:
        read_tools(Cursor([tool(name="a b")], "tools"))
    assert caught.value.reason == (
        "Invalid 'tools[0].function.name': string does not match pattern. "
        "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    )


@pytest.mark.parametrize(
    ("kind", "got"), [("array", "'type: \"array\"'"), (["null"], "a type that is an array")]
)
def test_parameters_that_are_no_object_are_refused(kind: object, got: str) -> None:
    """Strict or not."""
    with pytest.raises(InvalidValue) as caught:
        read_tools(Cursor([tool(), tool(name="g", parameters={"type": kind})], "tools"))
    assert (caught.value.param, caught.value.code) == (
        "tools[1].function.parameters",
        "invalid_function_parameters",
    )
    assert caught.value.reason == (
        f"Invalid schema for function 'g': schema must be a JSON Schema of 'type: \"object\"', got {got}."
    )


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        ("none", ToolChoice("none")),
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("required")),
        (named("f"), ToolChoice("named", ("f",))),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named("f"), named("g")]}},
            ToolChoice("auto", ("f", "g")),
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [named("f"), custom(name="g")]},
            },
            ToolChoice("required", ("f", "g"), frozenset("g")),
        ),
        (custom(), ToolChoice("named", ("c",), frozenset("c"))),
    ],
)
def test_choice_is_read(value: object, choice: ToolChoice) -> None:
    """Each form that OpenAI has."""
    assert read_tool_choice(Cursor(value)) == choice


@pytest.mark.parametrize(
    ("value", "error", "param"),
    [
        (1, InvalidType, "choice"),
        ("any", InvalidValue, "choice"),
        ({}, MissingParameter, "choice.type"),
        ({"type": "function"}, MissingParameter, "choice.function"),
        ({"type": "custom"}, MissingParameter, "choice.custom"),
        ({"type": "mcp"}, InvalidValue, "choice.type"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
            EmptyArray,
            "choice.allowed_tools.tools",
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": [named("f")]}},
            InvalidValue,
            "choice.allowed_tools.mode",
        ),
    ],
)
def test_bad_choice_is_refused_with_its_path(value: object, error: type[AntiphonError], param: str) -> None:
    """The first violation, where it is."""
    with pytest.raises(error) as caught:
        read_tool_choice(Cursor(value, "choice"))
    assert getattr(caught.value, "param", None) == param


def test_deprecated_choice_is_read_alike() -> None:
    """It has no `required`."""
    assert read_function_choice(Cursor("none")) == ToolChoice("none")
    assert read_function_choice(Cursor("auto")) == ToolChoice("auto")
    assert read_function_choice(Cursor({"name": "f"})) == ToolChoice("named", ("f",))
    wrong: tuple[object, ...] = ("required", 1, {})
    for bad in wrong:
        with pytest.raises(InvalidRequest):
            read_function_choice(Cursor(bad, "function_call"))
