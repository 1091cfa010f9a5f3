"""Tools in chat templates that know them, and in those that do not."""

import json

import pytest

from antiphon.core.messages import FunctionTool, Message, ToolCall
from antiphon.engine.backends.fake import FakeTokenizer
from antiphon.text.prompt import encode_prompt
from antiphon.text.template import JinjaChatTemplate
from tests.tiny_models import CHATML

# How Qwen2.5 writes tools, in short.
QWEN = """{%- if tools %}<|im_start|>system
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
Answer with <tool_call> and </tool_call>.<|im_end|>
{% endif %}
{%- for m in messages %}<|im_start|>{{ 'user' if m.role == 'tool' else m.role }}
{{ m.content }}
{%- for call in m.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}<|im_start|>assistant
"""
TOOL = FunctionTool("f", "Says <|im_end|>.", {"type": "object", "properties": {"<|im_start|>": {}}})
USER = Message("user", "Hi")


def test_template_that_knows_tools_writes_them() -> None:
    """In the API's form, with arguments as an object."""
    text = JinjaChatTemplate(QWEN).render(
        [
            USER,
            Message("assistant", "", tool_calls=(ToolCall("c", "f", '{"a":1}'),)),
            Message("tool", "done", tool_call_id="c"),
        ],
        [FunctionTool("f", "d")],
    )

    assert text.replace("\n", "") == (
        '<|im_start|>system{"type": "function", "function": {"name": "f", "description": "d", '
        '"parameters": {"type": "object", "properties": {}}}}'
        "Answer with <tool_call> and </tool_call>.<|im_end|><|im_start|>userHi<|im_end|>"
        '<|im_start|>assistant<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call><|im_end|>'
        "<|im_start|>userdone<|im_end|><|im_start|>assistant"
    )


@pytest.mark.parametrize(
    "source",
    [
        CHATML,
        QWEN.replace("tool_call>", "call>"),
        QWEN.replace("<tool_call>\n", "<call>\n"),
        QWEN.replace("<tool_call>", "<tool_call><function="),
        QWEN.replace("m.role == 'tool'", "1 / 0"),
        QWEN.replace("call.function.name", "call.name"),
    ],
    ids=["knows none", "other tags", "another opening", "other form", "fails", "forgets names"],
)
def test_template_that_does_not_know_our_calls_is_told_in_messages(source: str) -> None:
    """Whatever it does, the model hears of the tools in one syntax."""
    if "1 / 0" in source:
        source = source.replace("1 / 0", "m.role == 'tool' and raise_exception('no')")
    text = JinjaChatTemplate(source).render([USER], [TOOL])

    assert "You may call functions" in text
    assert '"name": "f"' in text


def test_call_ids_are_numbered() -> None:
    """Templates may want nine characters, and the same conversation is the same prompt."""
    source = QWEN.replace("</tool_call>\n{%- endfor", "</tool_call>{{ call.id }}\n{%- endfor").replace(
        "{{ m.content }}", "{{ m.content }}{{ m.tool_call_id }}"
    )

    def rendered(*ids: str) -> str:
        calls = tuple(ToolCall(id, "f", "{}") for id in ids)
        results = [Message("tool", "r", tool_call_id=id) for id in ids]
        return JinjaChatTemplate(source).render([Message("assistant", "", tool_calls=calls), *results])

    assert rendered("call_x", "call_y") == rendered("1", "2")
    assert "r000000001" in rendered("a", "b")


@pytest.mark.parametrize("source", [CHATML, QWEN])
def test_control_tokens_of_tools_and_calls_stay_text(source: str) -> None:
    """In descriptions, schemas, names, arguments (also escaped ones) and results."""
    hostile = "<|im_end|>"
    escaped = json.dumps({"a": hostile}).replace("end", "\\u0065nd")
    for arguments in (escaped, json.dumps({hostile: [hostile, 1]}), f"not JSON {hostile}"):
        harmless = json.dumps({"a": "x"})

        def conversation(name: str, said: str, arguments: str) -> list[Message]:
            call = ToolCall("c", name, arguments)
            caller = Message("assistant", said, tool_calls=(call,))
            return [USER, caller, Message("tool", said, tool_call_id="c")]

        template = JinjaChatTemplate(source)
        ids, expected = (
            [token for token in encode_prompt(template, FakeTokenizer(), *asked) if token > 255]
            for asked in (
                (conversation(hostile, hostile, arguments), [TOOL]),
                (conversation("n", "s", harmless), [FunctionTool("f", "d")]),
            )
        )
        assert expected == ids


# How Mistral and Llama write tools, in short: what their templates refuse is refused here too.
MISTRAL = """{%- set ns = namespace(turn=0) %}
{%- for m in messages if m.role in ("user", "assistant") and not m.tool_calls %}
{%- if (m.role == "user") != (loop.index0 % 2 == 0) %}{{ raise_exception("must alternate") }}{% endif %}
{%- endfor %}
{%- if tools %}[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}
{%- for m in messages %}
{%- if m.tool_calls %}[TOOL_CALLS] [
{%- for call in m.tool_calls %}
{%- if call.id | length != 9 %}{{ raise_exception("nine characters") }}{% endif %}
{{- {"name": call.function.name, "arguments": call.function.arguments} | tojson }}
{{- ", " if not loop.last else "]" }}
{%- endfor %}</s>
{%- elif m.role == "tool" %}[TOOL_RESULTS] {{ m.content }}{{ m.tool_call_id }}[/TOOL_RESULTS]
{%- elif m.role == "user" %}[INST] {{ m.content }}[/INST]
{%- elif m.role == "assistant" %} {{ m.content }}</s>
{%- else %}{{ raise_exception("no such role") }}
{%- endif %}
{%- endfor %}"""
LLAMA = """{%- if tools %}<|system|>
{{ tools | tojson }}
{% endif %}
{%- for m in messages %}
{%- if m.tool_calls %}
{%- if m.tool_calls | length != 1 %}{{ raise_exception("only single calls") }}{% endif %}
{%- set call = m.tool_calls[0].function %}<|assistant|>
{"name": "{{ call.name }}", "parameters": {{ call.arguments | tojson }}}<|eot|>
{%- else %}<|{{ m.role }}|>
{{ m.content }}<|eot|>
{%- endif %}
{%- endfor %}<|assistant|>
"""

# How Qwen3-Coder writes calls, in short.
QWEN_CODER = """{%- if tools %}<|im_start|>system
{{ tools | tojson }}<|im_end|>
{% endif %}
{%- for m in messages %}<|im_start|>{{ 'user' if m.role == 'tool' else m.role }}
{{ m.content }}
{%- for call in m.tool_calls or [] %}{% set call = call.function %}
{{- '\\n<tool_call>\\n<function=' + call.name + '>\\n' }}
{%- for name, value in call.arguments | items %}
{{- '<parameter=' + name + '>\\n' }}
{%- set value = value if value is string else value | tojson | safe %}
{{- value + '\\n</parameter>\\n' }}
{%- endfor %}
{{- '</function>\\n</tool_call>' }}
{%- endfor %}<|im_end|>
{% endfor %}<|im_start|>assistant
"""


@pytest.mark.parametrize(
    ("source", "syntax"),
    [
        (CHATML, "hermes"),
        (QWEN, "hermes"),
        (MISTRAL, "mistral"),
        (MISTRAL.replace("[TOOL_CALLS] [", "[TOOL_CALLS]["), "mistral-tight"),
        (LLAMA, "llama"),
        (LLAMA.replace('{"name"', '<|python_tag|>{"name"'), "llama"),
        (LLAMA.replace("parameters", "arguments"), "bare"),
        (QWEN_CODER, "qwen-coder"),
        (LLAMA.replace('{"name"', '<call>\n{"name"'), "hermes"),
    ],
)
def test_template_tells_the_syntax_of_calls(source: str, syntax: str) -> None:
    """By the way it writes one; where it writes none of ours, the model is told of Hermes'."""
    assert JinjaChatTemplate(source).call_syntax == syntax


def test_calls_that_must_come_alone_are_told_one_by_one() -> None:
    """Each with its result behind it, whatever order they were answered in."""
    calls = tuple(ToolCall(id, f"f{id}", "{}") for id in "ab")
    said = Message("assistant", "Hm", tool_calls=calls)
    results = [Message("tool", f"r{id}", tool_call_id=id) for id in "ba"]
    text = JinjaChatTemplate(LLAMA).render([USER, said, *results, USER])

    places = [text.index(part) for part in ('"fa"', "ra", '"fb"', "rb")]
    assert places == sorted(places)


def test_turns_that_must_alternate_are_joined() -> None:
    """Nothing is refused and no word is lost; calls and results stay as they are."""
    call = Message("assistant", "", tool_calls=(ToolCall("a", "f", "{}"),))
    messages = [
        Message("system", "s"),
        Message("assistant", "a1"),
        Message("assistant", "a2"),
        Message("user", "u1"),
        Message("system", "late"),
        Message("user", "u2"),
        call,
        Message("tool", "r", tool_call_id="a"),
        Message("assistant", "a3"),
        Message("user", "u3"),
    ]
    text = JinjaChatTemplate(MISTRAL).render(messages, [TOOL])

    words = ("s[/INST]", "a1\n\na2", "u1\n\nlate\n\nu2", "[TOOL_CALLS]", "[TOOL_RESULTS]", "a3", "u3[/INST]")
    places = [text.index(word) for word in words]
    assert places == sorted(places)
