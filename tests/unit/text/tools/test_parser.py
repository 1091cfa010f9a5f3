"""Calls as they are read."""

import pytest

from antiphon.text.tools.parser import CallArguments, CallMalformed, CallParser, CallStarted

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
