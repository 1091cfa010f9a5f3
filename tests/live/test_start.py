"""How a server starts or refuses to: what an operator sees, and when the port opens."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from antiphon import __version__
from tests.live.server_process import ServerProcess, running
from tests.tiny_models import TinyModel, write_tiny_model

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def antiphon(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "antiphon", *arguments],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """A small whole model file."""
    return write_tiny_model(tmp_path / "tiny.gguf")


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def assert_refused(run: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One line on stderr with these words, nothing on stdout, this exit code."""
    assert run.returncode == code
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert line.startswith("antiphon: ")
    for word in words:
        assert word in line


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    """The path is named."""
    assert_refused(antiphon("serve", str(tmp_path / "no.gguf"), "--port", "0"), 1, "no.gguf", "no such file")


def test_unknown_name_lists_the_known_ones() -> None:
    """A name that is neither a file nor in the catalogue."""
    assert_refused(antiphon("serve", "gpt-9", "--port", "0"), 1, "gpt-9", "smollm2-135m")


def test_truncated_file_is_one_line(tiny_model: Path) -> None:
    """A file that was cut short is told as such, not as a crash."""
    tiny_model.write_bytes(tiny_model.read_bytes()[:-1000])

    assert_refused(antiphon("serve", str(tiny_model), "--port", "0"), 1, "tiny.gguf", "truncated")


def test_unsupported_architecture_names_the_supported_ones(tmp_path: Path) -> None:
    """What would work is part of the line."""
    path = write_tiny_model(tmp_path / "other.gguf", TinyModel(architecture="mamba"))

    assert_refused(antiphon("serve", str(path), "--port", "0"), 1, "mamba", "llama", "qwen2", "qwen3")


def test_taken_port_is_one_line(taken_port: int) -> None:
    """It is told before any model is fetched or loaded."""
    run = antiphon("serve", "--port", str(taken_port))

    assert_refused(run, 1, str(taken_port), "in use")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "x"], ["--port", "an integer from 0 to 65535"]),
        (["--host", "0.0.0.0"], ["0.0.0.0", "key"]),
        (["--config", "absent.toml"], ["absent.toml"]),
    ],
)
def test_wrong_settings_are_one_line(arguments: list[str], words: list[str]) -> None:
    """Exit code 2, and the setting is named."""
    assert_refused(antiphon("serve", *arguments), 2, *words)


def test_version_is_printed() -> None:
    """`antiphon --version`."""
    assert antiphon("--version").stdout == f"antiphon {__version__}\n"


def test_own_file_is_prepared_and_served(tiny_model: Path, tmp_path: Path) -> None:
    """A GGUF by path, under its own name, from a fresh cache folder that alone is written to."""
    home = tmp_path / "home"
    home.mkdir()
    with running(tmp_path / "run", str(tiny_model), HOME=str(home), XDG_CACHE_HOME=str(home / "c")) as server:
        listed = httpx.get(f"{server.base_url}/models").json()["data"]
        body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "seed": 1}
        answer = httpx.post(f"{server.base_url}/chat/completions", json=body)

    assert listed[0]["id"] == "tiny"
    assert answer.json()["usage"]["completion_tokens"] <= 4
    assert [path.name for path in home.iterdir()] == ["c"]
    assert [path.name for path in (home / "c").iterdir()] == ["antiphon"]


def test_curl_line_of_the_banner_works_when_pasted(fake_server: ServerProcess) -> None:
    """It is a whole request."""
    match = re.search(r"^curl .*$", fake_server.stdout, re.MULTILINE)
    assert match is not None
    run = subprocess.run(["sh", "-c", match[0]], capture_output=True, text=True, check=True)

    assert '"object":"chat.completion"' in run.stdout


def test_keys_from_a_file_are_asked_for(tmp_path: Path) -> None:
    """Without the key 401, with it 200; the banner says so and does not show the key."""
    keys = tmp_path / "keys"
    keys.write_text("sk-one-two-three\n")
    with running(tmp_path / "run", "--engine", "fake", "--api-key-file", str(keys)) as server:
        url = f"{server.base_url}/models"
        refused = httpx.get(url)
        accepted = httpx.get(url, headers={"Authorization": "Bearer sk-one-two-three"})

        assert (refused.status_code, accepted.status_code) == (401, 200)
        assert "with an API key (1 configured)" in server.stdout
        assert "sk-one" not in server.stdout + server.stderr


def test_aliases_are_configurable(tmp_path: Path) -> None:
    """The default names can be removed and others added."""
    arguments = ("--engine", "fake", "--no-default-aliases", "--alias", "one", "--alias", "two")
    with running(tmp_path, *arguments) as server:
        listed = httpx.get(f"{server.base_url}/models").json()["data"]

    assert [model["id"] for model in listed] == ["fake", "one", "two", "smollm2-135m"]


def test_stop_signal_while_preparing_ends_without_a_traceback(tiny_model: Path, tmp_path: Path) -> None:
    """Whenever the signal comes before the banner, nothing is left and nothing is printed."""
    server = ServerProcess([str(tiny_model)], tmp_path, {"XDG_CACHE_HOME": str(tmp_path / "cache")})
    while "Preparing" not in server.stderr:
        assert server.popen.poll() is None
    server.signal_group(signal.SIGINT)

    assert server.popen.wait(20) == 0
    assert server.group() == []
    assert "Traceback" not in server.stderr
