"""`antiphon chat`: one answer in a pipe, a conversation at a terminal."""

import json
from pathlib import Path

import pytest

import antiphon
from antiphon.models.catalogue import DEFAULT_MODEL
from tests.live.command import Terminal
from tests.live.command import antiphon as run

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def test_piped_text_follows_the_prompt(
    tmp_path: Path, antiphon_server: antiphon.Server, antiphon_script: antiphon.Script
) -> None:
    """Standard output is the answer and nothing else."""
    antiphon_script.say("Short", " and sweet.")
    result = run(tmp_path, "chat", "sum up", "--url", antiphon_server.url, text="a long story")

    assert (result.returncode, result.stdout, result.stderr) == (0, "Short and sweet.\n", "")


def test_answer_as_json_with_its_usage(
    tmp_path: Path, antiphon_server: antiphon.Server, antiphon_script: antiphon.Script
) -> None:
    """For scripts; fields of the request can be set."""
    antiphon_script.say("one", "two")
    result = run(tmp_path, "chat", "hi", "--json", "--set", "max_tokens=4", ANTIPHON_URL=antiphon_server.url)
    answer = json.loads(result.stdout)

    assert (answer["content"], answer["finish_reason"], answer["model"]) == ("onet", "length", "fake")
    assert answer["usage"]["completion_tokens"] == 4
    assert result.stderr == "antiphon: the answer was cut at the limit of tokens\n"


def test_schema_holds_the_answer_of_a_server_of_its_own(tmp_path: Path) -> None:
    """No server runs here, so one is started and ended."""
    (tmp_path / "city.json").write_text(
        json.dumps({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
    )
    result = run(tmp_path, "chat", "where?", "--schema", str(tmp_path / "city.json"), ANTIPHON_ENGINE="fake")

    assert isinstance(json.loads(result.stdout)["city"], str)
    assert list(tmp_path.glob("**/antiphon/*.json")) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("chat",), 2, "nothing to say"),
        (("chat", "hi", "--url", "http://127.0.0.1:9/v1"), 1, "127.0.0.1:9/v1: Connection refused"),
        (("chat", "hi", "--schema", "no.json"), 2, "no.json: No such file"),
        (("chat", "hi", "--set", "x"), 2, "NAME=VALUE"),
        (("chat", "hi", "--model", "smolm2-135m"), 1, f"Did you mean {DEFAULT_MODEL}?"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: tuple[str, ...], code: int, words: str, tmp_path: Path
) -> None:
    """On stderr, with an exit code that tells whose fault it was."""
    result = run(tmp_path, *arguments)

    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_refusal_of_the_server_is_shown_in_its_words(
    tmp_path: Path, antiphon_server: antiphon.Server
) -> None:
    """As are names of models that it has not."""
    wrong = run(tmp_path, "chat", "hi", "--url", antiphon_server.url, "--set", "temperature=9")
    absent = run(tmp_path, "chat", "hi", "--url", antiphon_server.url, "--model", "gpt-9")

    assert "temperature" in wrong.stderr
    assert "has no model gpt-9; it has fake" in absent.stderr


def test_conversation_at_a_terminal(
    tmp_path: Path, antiphon_server: antiphon.Server, antiphon_script: antiphon.Script
) -> None:
    """Messages, commands, several lines, an answer that is stopped, one that fails; then on as before."""
    antiphon_script.say("Hel", "lo\x1b[31m.")
    antiphon_script.say("Both", " lines.")
    antiphon_script.say("Slow", " and", " slower", delay_s=1.0)
    antiphon_script.refuse()
    antiphon_script.say("Again.")
    with Terminal(tmp_path, "chat", "--url", antiphon_server.url) as terminal:
        assert "fake at" in terminal.wait_for(">>> ")
        terminal.type("hi\n")
        assert "Hello\N{REPLACEMENT CHARACTER}[31m." in terminal.wait_for(r"tokens.*\r\n>>> ")
        terminal.type('"""one\ntwo"""\n')
        assert "Both lines." in terminal.wait_for(r"tokens.*\r\n>>> ")
        terminal.type("/mdoel\n")
        terminal.wait_for("did you mean /model")
        terminal.type("slowly\n")
        terminal.wait_for("Slow")
        terminal.type("\x03")
        terminal.wait_for("stopped")
        terminal.type("overloaded\n")
        terminal.wait_for(r"(?i)overloaded|capacity|busy|try again")
        terminal.type("/retry\n")
        terminal.wait_for(r"Again\.")
        terminal.type(f"/save {tmp_path / 'talk.md'}\n")
        terminal.wait_for("saved to")
        terminal.type("/exit\n")
        assert terminal.wait() == 0

    saved = (tmp_path / "talk.md").read_text()
    assert "one\ntwo" in saved
    assert "slowly" in saved
    assert "overloaded" not in saved


def test_end_of_input_leaves(tmp_path: Path, antiphon_server: antiphon.Server) -> None:
    """Ctrl+D, at the beginning of a line."""
    with Terminal(tmp_path, "chat", "--url", antiphon_server.url) as terminal:
        terminal.wait_for(">>> ")
        terminal.type("\x04")

        assert terminal.wait() == 0
