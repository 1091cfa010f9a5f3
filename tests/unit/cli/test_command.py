"""The command line: every setting has its flag, and only what was given is passed on."""

from typing import Any

import pytest
from typer.testing import CliRunner

from antiphon.cli.command import build_app
from antiphon.settings import Settings, describe_settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that the command would serve with."""
    seen: list[Settings] = []
    monkeypatch.setattr("antiphon.cli.command._run", seen.append)
    return seen


def invoke(*arguments: str, environment: dict[str, str] | None = None) -> Any:
    """Run the command in this process."""
    return CliRunner().invoke(build_app(), arguments, env=environment)


def test_help_names_every_flag() -> None:
    """Each setting but the secret ones."""
    text = invoke("serve", "--help", environment={"COLUMNS": "200"}).output

    assert all(setting.flag in text for setting in describe_settings()[1:] if setting.flag)


def test_flags_reach_the_settings(served: list[Settings]) -> None:
    """Values, switches, a repeated flag and the positional model."""
    result = invoke(
        "serve",
        "m.gguf",
        "--port",
        "0",
        "--no-default-aliases",
        "--alias",
        "a",
        "--alias",
        "b",
        "--strict-fields",
    )

    assert result.exit_code == 0
    assert served == [
        Settings(model=("m.gguf",), port=0, default_aliases=False, alias=("a", "b"), strict_fields=True)
    ]


def test_flags_not_given_leave_room_for_the_environment(served: list[Settings]) -> None:
    """No flag's default hides a variable."""
    invoke("serve", environment={"ANTIPHON_PORT": "9", "ANTIPHON_DEFAULT_ALIASES": "false"})

    assert served == [Settings(port=9, default_aliases=False)]


def test_wrong_setting_is_one_line_and_exit_code_2(served: list[Settings]) -> None:
    """Nothing is served."""
    result = invoke("serve", "--threads", "many")

    assert (result.exit_code, served) == (2, [])
    assert result.stderr == "antiphon: --threads: expected an integer of at least 0\n"


def test_interrupt_before_serving_is_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl+C while a model is prepared is no failure."""

    def interrupted(settings: Settings) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("antiphon.cli.command._run", interrupted)

    assert invoke("serve").exit_code == 0
