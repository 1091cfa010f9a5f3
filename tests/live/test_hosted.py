"""`antiphon.serve`: servers held by Python programs, and the fixtures for people who test clients."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from openai import APIStatusError, AsyncOpenAI, BadRequestError, InternalServerError, OpenAI

import antiphon
from tests.tiny_models import write_tiny_model

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def connect(server: antiphon.Server) -> OpenAI:
    """The official client, which shows every failure."""
    return OpenAI(base_url=server.url, api_key=server.api_key, max_retries=0)


def ask(server: antiphon.Server, **parameters: object) -> str | None:
    """A whole answer's text."""
    with connect(server) as client:
        answer = client.chat.completions.create(
            model=server.model,
            messages=[{"role": "user", "content": "hi"}],
            **parameters,  # type: ignore[call-overload]
        )
        content: str | None = answer.choices[0].message.content
        return content


def is_gone(pid: int) -> bool:
    """Whether no process has this number; a zombie that init has yet to reap counts as gone."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] in ("", "Z")


def test_server_answers_in_its_block_and_is_gone_behind_it() -> None:
    """Ready when it is entered."""
    with antiphon.serve(engine="fake", port=0) as server:
        assert server.url.endswith("/v1")
        assert ask(server)
        assert "gpt-4o-mini" in server.aliases

    assert is_gone(server.pid)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/models")


def test_close_without_a_block_is_idempotent() -> None:
    """As in a notebook, where a server lives from cell to cell."""
    server = antiphon.serve(engine="fake")
    server.close()
    server.close()

    assert is_gone(server.pid)
    assert repr(server) == f"<antiphon.Server fake at {server.url}>"


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("gpt-9", {}, "gpt-9: no such model"),
        ("m", {"engine": "fake", "port": 70000}, "--port: expected an integer from 0 to 65535"),
        ("m", {"engine": "fake", "host": "0.0.0.0"}, "clients need a key"),
    ],
)
def test_what_goes_wrong_is_told_in_the_servers_own_words(
    model: str, settings: dict[str, object], words: str
) -> None:
    """The same line that the command prints."""
    with pytest.raises(antiphon.ServeError, match=words):
        antiphon.serve(model, **settings)  # type: ignore[arg-type]


def test_unknown_setting_is_a_type_error() -> None:
    """As any unknown argument; the known ones are named."""
    with pytest.raises(TypeError, match=r"no setting prot; known: .*port"):
        antiphon.serve(engine="fake", prot=1)


def test_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a test would depend on who runs it."""
    monkeypatch.setenv("ANTIPHON_PORT", "none")
    monkeypatch.setenv("ANTIPHON_API_KEY", "sk-secret")
    with antiphon.serve(engine="fake") as server:
        assert ask(server)


def test_keys_are_handed_on_but_not_on_the_command_line() -> None:
    """Where everybody could read them."""
    with antiphon.serve(engine="fake", api_key=["sk-one-two"]) as server:
        command = subprocess.run(
            ["ps", "-o", "args=", "-p", str(server.pid)], capture_output=True, text=True, check=True
        )
        assert server.api_key == "sk-one-two"
        assert "sk-one-two" not in command.stdout
        assert httpx.get(f"{server.url}/models").status_code == 401
        assert ask(server)


async def test_under_a_running_loop() -> None:
    """Started in a thread, beside other tasks of the loop."""
    with await asyncio.to_thread(antiphon.serve, engine="fake") as server:
        async with AsyncOpenAI(base_url=server.url, api_key=server.api_key) as client:
            models = [model.id async for model in client.models.list()]

    assert models[0] == "fake"


async def test_called_in_a_coroutine_it_blocks_and_works() -> None:
    """Notebooks run every cell under a loop."""
    with antiphon.serve(engine="fake") as server:
        assert ask(server)


def test_server_that_dies_is_told_at_the_end_of_its_block() -> None:
    """Unless the block failed anyway."""
    with pytest.raises(antiphon.ServeError, match=r"ended by itself \(exit code -9\)"), _killed():
        pass
    with pytest.raises(KeyError), _killed():
        raise KeyError


def _killed() -> antiphon.Server:
    server = antiphon.serve(engine="fake")
    os.kill(server.pid, signal.SIGKILL)
    # Until it can be reaped: its first thread is a zombie sooner than that.
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
    return server


def test_server_does_not_outlive_a_parent_that_is_killed() -> None:
    """Its pipe ends, whatever became of the parent."""
    program = (
        "import antiphon, time\n"
        "server = antiphon.serve(engine='fake')\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
    deadline = time.monotonic() + 30
    while not is_gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_operators_chat_template_is_the_one_that_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the place of the model's own: one that refuses everything is obeyed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    template = tmp_path / "mine.jinja"
    template.write_text("{{ raise_exception('not so') }}")
    with (
        antiphon.serve(write_tiny_model(tmp_path / "tiny.gguf"), chat_template=str(template)) as server,
        pytest.raises(BadRequestError, match="chat template does not accept"),
    ):
        ask(server)


@pytest.mark.slow
def test_a_model_file_is_prepared_with_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its engine cannot be told what to say."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    steps: list[str] = []

    class Steps:
        def start(self, label: str, total_bytes: int | None) -> None:
            steps.append(label)

        def advance(self, count: int) -> None:
            assert count >= 0

        def done(self) -> None:
            steps.append("done")

    with antiphon.serve(write_tiny_model(tmp_path / "tiny.gguf"), progress=Steps()) as server:
        assert server.model == "tiny"
        assert ask(server, max_tokens=4) is not None
        with pytest.raises(antiphon.ServeError, match='engine="fake"'):
            server.script.say("no")
    assert steps == ["Checking tiny.gguf", "done", "Preparing tiny (once)", "done"]


def test_scripted_answers_come_in_order_and_then_it_improvises(
    antiphon_server: antiphon.Server, antiphon_script: antiphon.Script
) -> None:
    """One for each choice."""
    antiphon_script.say("one")
    antiphon_script.say("two", end="length")
    antiphon_script.say("three")
    antiphon_script.say("never")

    with connect(antiphon_server) as client:
        first = client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}], n=2
        )
    assert [choice.message.content for choice in first.choices] == ["one", "two"]
    assert [choice.finish_reason for choice in first.choices] == ["stop", "length"]
    assert ask(antiphon_server) == "three"
    antiphon_script.clear()
    assert ask(antiphon_server) not in ("never", "")


def test_each_text_is_a_chunk_of_a_stream(
    antiphon_server: antiphon.Server, antiphon_script: antiphon.Script
) -> None:
    """So a client's handling of awkward pieces can be tested."""
    antiphon_script.say("Par", "is", ".", delay_s=0.001)
    with connect(antiphon_server) as client:
        stream = client.chat.completions.create(
            model="fake", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        pieces = [chunk.choices[0].delta.content for chunk in stream]

    assert [piece for piece in pieces if piece] == ["Par", "is", "."]


def test_scripted_tool_calls(antiphon_server: antiphon.Server, antiphon_script: antiphon.Script) -> None:
    """Names and arguments as told, after text if there is some."""
    antiphon_script.calls(("weather", {"city": "Paris"}), ("weather", '{"city": "東京"}'), text="Let me see.")
    parameters: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}}
    with connect(antiphon_server) as client:
        answer = client.chat.completions.create(
            model="fake",
            messages=[{"role": "user", "content": "hi"}],
            tools=[{"type": "function", "function": {"name": "weather", "parameters": parameters}}],
        )
    message = answer.choices[0].message
    calls = [call.function for call in message.tool_calls or () if call.type == "function"]

    assert message.content is not None
    assert message.content.strip() == "Let me see."
    assert [(call.name, call.arguments) for call in calls] == [
        ("weather", '{"city": "Paris"}'),
        ("weather", '{"city": "東京"}'),
    ]
    assert answer.choices[0].finish_reason == "tool_calls"


def test_scripted_failures(antiphon_server: antiphon.Server, antiphon_script: antiphon.Script) -> None:
    """What a client must live with: a full queue, an engine that dies in the middle."""
    antiphon_script.refuse()
    with pytest.raises(APIStatusError) as refused:
        ask(antiphon_server)
    assert refused.value.status_code == 503

    antiphon_script.say("half", " a", " sentence", fail_after=2)
    with pytest.raises(InternalServerError):
        ask(antiphon_server)
