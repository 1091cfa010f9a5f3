"""Conversations and the commands that change them."""

import json
from pathlib import Path

import pytest

from antiphon.cli.chat.commands import COMMANDS, run_command
from antiphon.cli.chat.conversation import Conversation, UsageError, read_schema
from antiphon.cli.chat.session import read_message
from antiphon.cli.chat.turn import Turn, harmless

SCHEMA = {"type": "object", "properties": {}}


def talked() -> Conversation:
    """A conversation of one question and its answer."""
    conversation = Conversation("m")
    conversation.ask("why?")
    conversation.answer("so")
    return conversation


def test_body_is_a_whole_request() -> None:
    """The system prompt first, parameters as they were set."""
    conversation = Conversation("m", system="Be brief.", response_format={"type": "json_object"})
    conversation.set_parameter("temperature = 0.2")
    conversation.set_parameter("reasoning_effort=low")
    conversation.ask("hi")

    assert conversation.body() == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "temperature": 0.2,
        "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_parameter_without_a_value_is_taken_away() -> None:
    """Then the server's default holds."""
    conversation = Conversation("m", parameters={"seed": 1})
    run_command(conversation, "/set seed=")

    assert conversation.parameters == {}


@pytest.mark.parametrize("line", ["/set temperature", "/set =1", "/set a b=1", "/save", "/schema no.json"])
def test_what_cannot_be_done_is_told(line: str) -> None:
    """And changes nothing."""
    conversation = talked()
    with pytest.raises(UsageError):
        run_command(conversation, line)

    assert conversation == talked()


def test_unknown_command_is_told_with_what_was_perhaps_meant() -> None:
    """Or where to look."""
    with pytest.raises(UsageError, match="did you mean /retry"):
        run_command(Conversation("m"), "/rety")
    with pytest.raises(UsageError, match="see /help"):
        run_command(Conversation("m"), "/xyzzy")


def test_help_names_every_command() -> None:
    """As it is typed."""
    words = run_command(Conversation("m"), "/help").words

    assert all(f"/{name}" in words for name in COMMANDS)


def test_retry_takes_the_answer_back_and_undo_the_question_too() -> None:
    """Without a question there is nothing to retry."""
    conversation = talked()
    assert run_command(conversation, "/retry").next == "answer"
    assert conversation.turns == [{"role": "user", "content": "why?"}]

    run_command(conversation, "/undo")
    run_command(conversation, "/undo")
    assert conversation.turns == []
    with pytest.raises(UsageError):
        run_command(conversation, "/retry")


def test_conversation_is_saved_as_text(tmp_path: Path) -> None:
    """With who said what."""
    run_command(talked(), f"/save {tmp_path / 'talk.md'}")

    assert (tmp_path / "talk.md").read_text() == "## user\n\nwhy?\n\n## assistant\n\nso\n\n"


def test_schema_is_read_bare_or_as_the_api_has_it(tmp_path: Path) -> None:
    """Its name is the file's, in the characters that names may have."""
    bare, whole = tmp_path / "my schema.json", tmp_path / "whole.json"
    bare.write_text(json.dumps(SCHEMA))
    whole.write_text(json.dumps({"name": "n", "schema": SCHEMA}))
    conversation = Conversation("m")
    run_command(conversation, f"/schema {bare}")

    assert conversation.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "my_schema", "schema": SCHEMA, "strict": True},
    }
    assert read_schema(str(whole))["json_schema"] == {"name": "n", "schema": SCHEMA}
    run_command(conversation, "/schema off")
    assert conversation.response_format is None


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_file_that_is_no_schema_is_told(text: str, tmp_path: Path) -> None:
    """With its name."""
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(UsageError, match=r"s\.json"):
        read_schema(str(tmp_path / "s.json"))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([" hi "], "hi"),
        (["a\\", "b"], "a\nb"),
        (['"""a', "b", 'c"""'], "a\nb\nc"),
        (['"""one line"""'], "one line"),
    ],
)
def test_messages_of_several_lines(lines: list[str], message: str) -> None:
    """Fenced, or ending in a backslash; no more is read than belongs to it."""
    rest = iter([*lines, "next"])

    assert read_message(lambda prompt: next(rest)) == message
    assert next(rest) == "next"


def test_control_characters_do_not_reach_a_terminal() -> None:
    """Line breaks and tabs do."""
    assert harmless("a\x1b[31m\x9b\tb\n") == "a\ufffd[31m\ufffd\tb\n"


def test_summary_tells_tokens_and_speed() -> None:
    """Nothing where the server did not count."""
    turn = Turn(began=0.0, first_at=1.0, ended=3.0, finish_reason="length", usage={"completion_tokens": 5})

    assert turn.summary() == "5 tokens, 2.0 tokens/s, first after 1.00 s, cut at the limit of tokens"
    assert Turn(ended=1.0).summary() == ""
