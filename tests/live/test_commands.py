"""The commands beside `serve` and `chat`, as scripts run them."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

import antiphon
from tests.live.command import antiphon as run
from tests.live.server_process import running
from tests.tiny_models import write_tiny_model

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def test_servers_are_listed_and_stopped(tmp_path: Path) -> None:
    """By number, port or URL; the one there is needs no name."""
    with running(tmp_path / "run", "--engine", "fake", XDG_RUNTIME_DIR=str(tmp_path)) as server:
        (listed,) = json.loads(run(tmp_path, "ps", "--json").stdout)
        assert (listed["pid"], listed["url"], listed["model"]) == (server.popen.pid, server.base_url, "fake")
        assert server.base_url in run(tmp_path, "ps").stdout
        assert "fake" in run(tmp_path, "chat", "hi", "--json").stdout
        wrong = run(tmp_path, "stop", "1")
        assert (wrong.returncode, str(server.popen.pid) in wrong.stderr) == (2, True)

        stopped = run(tmp_path, "stop", server.base_url)
        assert (stopped.returncode, stopped.stdout) == (0, f"{server.base_url}: stopped\n")
        assert server.popen.wait(20) == 0
    assert json.loads(run(tmp_path, "ps", "--json").stdout) == []
    assert run(tmp_path, "stop").returncode == 1


@pytest.mark.slow
def test_own_file_is_pulled_and_listed(tmp_path: Path) -> None:
    """With plain lines of progress on stderr; the second time there is nothing to do."""
    path = str(write_tiny_model(tmp_path / "tiny.gguf"))
    first, second = run(tmp_path, "pull", path), run(tmp_path, "pull", path, "--json")
    listed = json.loads(run(tmp_path, "models", "--json").stdout)

    assert first.stdout == f"{path}: ready, served as tiny\n"
    assert "Preparing tiny (once): done" in first.stderr
    assert second.stderr == ""
    assert json.loads(second.stdout)[0]["id"] == "tiny"
    assert [(model["name"], model["state"]) for model in listed] == [
        ("smollm2-135m", "absent"),
        ("gemma3-270m", "absent"),
        ("tiny", "ready"),
    ]


def test_models_are_a_table_for_people(tmp_path: Path) -> None:
    """Names, sizes, licences."""
    lines = run(tmp_path, "models").stdout.splitlines()

    assert lines[0].split() == ["NAME", "SERVED", "AS", "DOWNLOAD", "HERE", "ON", "DISK", "LICENCE"]
    assert "smollm2-135m" in lines[1]
    assert "Apache-2.0" in lines[1]


def test_settings_are_shown_with_their_sources_and_without_secrets(tmp_path: Path) -> None:
    """And what looks like a setting but is none."""
    file = tmp_path / "a.toml"
    file.write_text('threads = 2\nstore = "postgresql://me:hunter2@host/db"\n')
    given = {"ANTIPHON_CONFIG": str(file), "ANTIPHON_API_KEY": "sk-secret", "ANTIPHON_PROT": "1"}
    shown = run(tmp_path, "config", "show", "--json", **given)
    settings = json.loads(shown.stdout)

    assert settings["threads"] == {"value": 2, "source": str(file)}
    assert settings["port"] == {"value": 8000, "source": "default"}
    assert settings["api_key"] == {"value": "1 configured", "source": "ANTIPHON_API_KEY"}
    assert "did you mean ANTIPHON_PORT?" in shown.stderr
    assert "hunter2" not in shown.stdout
    assert "sk-secret" not in shown.stdout
    assert run(tmp_path, "config", "show", ANTIPHON_PORT="x").returncode == 2


def test_check_finds_this_machine_in_order(tmp_path: Path) -> None:
    """No model is here yet, which is told with what to do. Looking leaves nothing behind at home."""
    result = run(tmp_path, "check", "--offline", "--json", ANTIPHON_PORT="0")
    findings = {finding["subject"]: finding for finding in json.loads(result.stdout)}

    assert result.returncode == 0
    assert {"settings", "processor", "disk", "Python", "OpenVINO", "SQLite", "address"} <= findings.keys()
    assert findings["models"]["verdict"] == "warning"
    assert "antiphon pull smollm2-135m" in findings["models"]["remedy"]
    assert list(tmp_path.iterdir()) == []


def test_check_tells_what_will_not_work(tmp_path: Path) -> None:
    """Exit code 1, and a remedy below the fact."""
    result = run(tmp_path, "check", "--offline", ANTIPHON_THREADS="many")

    assert result.returncode == 1
    assert "✗ settings: ANTIPHON_THREADS: expected an integer" in result.stdout
    assert "  `antiphon config show`" in result.stdout


def test_bench_prints_a_table_and_writes_figures_and_a_chart(
    tmp_path: Path, antiphon_server: antiphon.Server
) -> None:
    """Of any server; no request is lost."""
    files = ("-o", str(tmp_path / "b.json"), "--plot", str(tmp_path / "b.svg"))
    load = ("--requests", "6", "--max-tokens", "8", "--concurrency", "1,3")
    result = run(tmp_path, "bench", antiphon_server.url, *load, *files)
    written = json.loads((tmp_path / "b.json").read_text())

    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 3
    assert [(at["concurrency"], at["requests"], at["failed"]) for at in written["runs"]] == [
        (1, 6, 0),
        (3, 6, 0),
    ]
    assert all(at["tokens_per_s"] > 0 for at in written["runs"])
    assert ElementTree.parse(tmp_path / "b.svg").getroot().tag.endswith("svg")


def test_bench_of_nobody_fails(tmp_path: Path) -> None:
    """In one line."""
    result = run(tmp_path, "bench", "http://127.0.0.1:9/v1")

    assert (result.returncode, result.stdout) == (1, "")
    assert "Connection refused" in result.stderr


def test_misspelt_command_is_told_with_what_was_meant(tmp_path: Path) -> None:
    """As are options."""
    assert "'chat'" in run(tmp_path, "chta").stderr
    assert "--model" in run(tmp_path, "chat", "--modl", "x").stderr


def test_completion_script_names_the_command(tmp_path: Path) -> None:
    """For the shell that asks."""
    result = run(tmp_path, "--show-completion", "bash")

    assert result.returncode == 0
    assert os.path.basename("antiphon") in result.stdout
