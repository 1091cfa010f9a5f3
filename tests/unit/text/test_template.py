"""Chat templates run as their models expect, and adapt what they cannot take."""

from datetime import datetime

import pytest

from antiphon.core.errors import InvalidValue
from antiphon.core.messages import Message
from antiphon.text.template import JinjaChatTemplate

_LINES = "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}|{% endfor %}"
_STRICT = (
    "{% for m in messages %}"
    "{% if m.role not in ('user', 'assistant') %}{{ raise_exception('no such role') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('no alternation') }}{% endif %}"
    "{{ m.role }}:{{ m.content }}|{% endfor %}"
)
_ONE_SYSTEM = (
    "{% if messages[0].role == 'system' %}system:{{ messages[0].content }}|{% set rest = messages[1:] %}"
    "{% else %}{% set rest = messages %}{% endif %}"
    "{% for m in rest %}{% if m.role != 'system' %}{{ m.role }}:{{ m.content }}|{% endif %}{% endfor %}"
)


def _system(text: str) -> Message:
    return Message("system", text)


def _user(text: str) -> Message:
    return Message("user", text)


def _assistant(text: str) -> Message:
    return Message("assistant", text)


def test_messages_tokens_and_the_generation_prompt_reach_the_template() -> None:
    """Everything a template may ask for is there."""
    lines = "{% for m in messages %}{{ m.role }}/{{ m.name }}/{{ m.content }}{{ eos_token }}{% endfor %}"
    source = "{{ bos_token }}" + lines + "{% if add_generation_prompt %}go{% endif %}"
    template = JinjaChatTemplate(source, "<s>", "</s>")

    assert template.render([Message("user", "hi", name="ann")]) == "<s>user/ann/hi</s>go"


def test_blocks_leave_no_white_space() -> None:
    """A block alone on its line adds nothing, as `transformers` renders it."""
    source = "{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}\nend"

    assert JinjaChatTemplate(source).render([_user("hi")]) == "hi\nend"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "<é>"}'),
        ("{{ messages[0].content | tojson(ensure_ascii=True) }}", '"<\\u00e9>"'),
        ("{{ {'a': 1} | tojson(indent=1) }}", '{\n "a": 1\n}'),
        ("{{ strftime_now('%Y-%m-%d') }}", "2026-11-22"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("a{% generation %}b{% endgeneration %}c", "abc"),
    ],
)
def test_extras_of_transformers_work(source: str, expected: str) -> None:
    """Filters, functions and tags that published templates use."""
    template = JinjaChatTemplate(source, now=lambda: datetime(2026, 11, 22))

    assert template.render([_user("<é>")]) == expected


def test_developer_is_a_system_message() -> None:
    """Templates know only the older name."""
    assert (
        JinjaChatTemplate(_LINES).render([Message("developer", "be kind"), _user("hi")])
        == "system:be kind|user:hi|"
    )


def test_template_that_takes_everything_gets_everything_as_it_is() -> None:
    """No message is touched without need."""
    messages = [
        _system("a"),
        _system("b"),
        _user("c"),
        _assistant("d"),
        _system("e"),
        _user("f"),
    ]

    assert JinjaChatTemplate(_LINES).render(messages) == (
        "system:a|system:b|user:c|assistant:d|system:e|user:f|"
    )


def test_dropped_system_messages_are_merged_or_said_by_the_user() -> None:
    """A template that writes only the first system message loses none of the others."""
    messages = [
        _system("a"),
        Message("developer", "b"),
        _user("c"),
        _assistant("d"),
        _system("e"),
        _user("f"),
    ]

    assert JinjaChatTemplate(_ONE_SYSTEM).render(messages) == "system:a\n\nb|user:c|assistant:d|user:e\n\nf|"


def test_refused_system_messages_are_said_by_the_user() -> None:
    """Roles still alternate afterwards, as such templates demand."""
    messages = [
        _system("a"),
        _system("b"),
        _user("c"),
        _system("d"),
        _assistant("e"),
        _user("f"),
        _system("g"),
    ]

    assert JinjaChatTemplate(_STRICT).render(messages) == "user:a\n\nb\n\nc\n\nd|assistant:e|user:f\n\ng|"


def test_system_message_alone_becomes_the_users() -> None:
    """There is nobody to merge it with."""
    assert JinjaChatTemplate(_STRICT).render([_system("a")]) == "user:a|"


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('never') }}",
        "{{ nothing.at.all }}",
        "{{ 1 / 0 }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}",
    ],
)
def test_refusal_is_one_fixed_sentence(source: str) -> None:
    """Whatever a template raises, the client learns that it refuses, and no more."""
    with pytest.raises(InvalidValue) as caught:
        JinjaChatTemplate(source).render([_user("secret"), _user("secret")])

    assert (caught.value.param, caught.value.reason) == (
        "messages",
        "The model's chat template does not accept this sequence of messages.",
    )


def test_endless_output_is_stopped() -> None:
    """A template that multiplies its input is cut off, not carried through."""
    template = JinjaChatTemplate("{% for i in range(99999) %}{{ messages[0].content }}{% endfor %}")

    with pytest.raises(InvalidValue) as caught:
        template.render([_user("x" * 1000)])

    assert caught.value.reason == "The rendered conversation is longer than this server accepts."


def test_invalid_template_is_told_at_construction() -> None:
    """A server does not start with a template it cannot run."""
    with pytest.raises(ValueError, match="not valid Jinja"):
        JinjaChatTemplate("{% for %}")


def test_options_are_variables_of_the_template() -> None:
    """They reach it, and cannot stand in for what is the conversation's."""
    template = JinjaChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}{{ enable_thinking }}")
    hello = [Message("user", "Hello")]
    assert template.render(hello, (), {"enable_thinking": False}) == "HelloFalse"
    assert template.render(hello, (), {"messages": "no", "enable_thinking": True}) == "HelloTrue"


# How Qwen3 and its kin write what was thought, in short.
THINKING = """{% for m in messages %}<|{{ m.role }}|>
{%- if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}
{% endfor %}<|assistant|>
{%- if enable_thinking is defined and enable_thinking is false %}<think>

</think>

{% endif %}"""


def test_template_that_thinks_is_told_what_was_thought_and_whether_to() -> None:
    """Its own switch, or, where it opens the block whatever is said, an empty block."""
    template, opening = JinjaChatTemplate(THINKING), JinjaChatTemplate("{{ messages[0].content }}<think>\n")
    said = [Message("assistant", "Hi", reasoning="Hm")]

    assert template.reasoning_tags == ("<think>", "</think>")
    assert template.render(said) == "<|assistant|><think>Hm</think>Hi\n<|assistant|>"
    assert template.render(said, (), {"enable_thinking": False}).endswith(
        "<|assistant|><think>\n\n</think>\n\n"
    )
    assert opening.render(said) == "Hi<think>"
    assert opening.render(said, (), {"thinking": False}) == "Hi<think>\n\n</think>\n\n"
