"""Calls as they are read."""

import pytest

from antiphon.text.tools.parser import CallArguments, CallForms, CallParser, CallStarted
from antiphon.text.tools.syntax import LLAMA, QWEN_CODER, CallMalformed

ONE = '<tool_call>\n{"name": "f", "arguments": {"a":"}\\"{"}}\n</tool_call>'


def test_call_is_told_as_it_is_written() -> None:
    """The name when it is complete, the arguments piece by piece."""
    parser = CallParser()

    assert parser.push('<tool_call>\n{"name": "get_') == []
    assert parser.push('weather", "arguments": {"ci') == [
        CallStarted(0, "get_weather"),
        CallArguments(0, '{"ci'),
    ]
    assert parser.push('ty":"Paris"}}\n</tool_') == [CallArguments(0, 'ty":"Paris"}')]
    assert parser.push("call>") == []


def test_several_calls_are_numbered() -> None:
    """One after the other; brackets and quotes inside strings end nothing."""
    assert CallParser().push(f"{ONE}\n{ONE}") == [
        CallStarted(0, "f"),
        CallArguments(0, '{"a":"}\\"{"}'),
        CallStarted(1, "f"),
        CallArguments(1, '{"a":"}\\"{"}'),
    ]


@pytest.mark.parametrize(
    "text",
    ["x", '<tool_call>\n{"name":x', '<tool_call>\n{"name": "f", "args', f"{ONE}x", f"{ONE}\n<tool_call>x"],
)
def test_text_of_another_form_is_an_error(text: str) -> None:
    """No grammar of ours allows it."""
    with pytest.raises(CallMalformed):
        CallParser().push(text)


def test_tag_before_a_call_is_part_of_it() -> None:
    """It may be there or not."""
    call = '{"name": "f", "parameters": {"a":1}}'
    expected = [CallStarted(0, "f"), CallArguments(0, '{"a":1}')]

    assert [CallParser(CallForms(LLAMA)).push(text) for text in (call, f"<|python_tag|>{call}")] == [
        expected,
        expected,
    ]


def test_parameters_are_told_as_json() -> None:
    """Texts as they are, with what JSON must escape; everything else is JSON already."""
    text = (
        '<tool_call>\n<function=f>\n<parameter=to>\nHe said "no".\n</parameter\n\n</parameter>\n'
        "<parameter=n>\n[1]\n</parameter>\n</function>\n</tool_call>\n"
        "<tool_call>\n<function=g>\n</function>\n</tool_call>"
    )

    assert CallParser(CallForms(QWEN_CODER, texts={"f": {"to"}})).push(text) == [
        CallStarted(0, "f"),
        CallArguments(0, '{"to":"He said \\"no\\".\\n</parameter\\n","n":[1]}'),
        CallStarted(1, "g"),
        CallArguments(1, "{}"),
    ]


@pytest.mark.parametrize("text", ["x", "<parameter>", "</func>"])
def test_parameters_of_another_form_are_an_error(text: str) -> None:
    """No grammar of ours allows it."""
    with pytest.raises(CallMalformed):
        CallParser(CallForms(QWEN_CODER)).push(f"<tool_call>\n<function=f>\n{text}")
