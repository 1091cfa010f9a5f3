"""The snippets people copy run verbatim: only where the server is differs."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.server_process import ServerProcess, running

pytestmark = [pytest.mark.live, pytest.mark.model, pytest.mark.timeout(600)]

# The small model may go on until its context ends; this much KV cache makes that about 1,300 tokens.
SMALL_CONTEXT = ("--kv-cache-mib", "16")

SNIPPETS = Path(__file__).with_name("chat-api.txt")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the real model and a short context."""
    with running(tmp_path_factory.mktemp("snippets"), *SMALL_CONTEXT) as process:
        yield process


def curl_command(name: str) -> str:
    """The text of one of the file's two curl commands."""
    for statement in ast.parse(SNIPPETS.read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return str(ast.literal_eval(statement.value))
    raise LookupError(name)


def run_curl(name: str, server: ServerProcess) -> str:
    """Run a curl command with another host in it; what it prints."""
    command = curl_command(name).replace("https://api.openai.com", server.origin)
    run = subprocess.run(
        ["sh", "-c", command],
        env=os.environ | {"OPENAI_API_KEY": "any"},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def test_python_snippets_run_verbatim(server: ServerProcess) -> None:
    """The whole file is a program, and it ends well."""
    run = subprocess.run(
        [sys.executable, str(SNIPPETS)],
        env=os.environ | {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "any"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert "ChatCompletionMessage(content=" in run.stdout
    assert "Structured Response: {" in run.stdout


def test_curl_snippet_answers_whole(server: ServerProcess) -> None:
    """The first curl command prints one completion."""
    assert '"object":"chat.completion"' in run_curl("curl_command", server)


def test_curl_snippet_streams(server: ServerProcess) -> None:
    """The second curl command prints chunks and the end mark."""
    output = run_curl("stream_command", server)

    assert output.startswith('data: {"id":"chatcmpl-')
    assert output.endswith("data: [DONE]\n\n")
