"""How a server ends, and what happens when its engine dies: with the real model and real signals."""

import http.client
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.live.server_process import ServerProcess, running

pytestmark = [pytest.mark.live, pytest.mark.model, pytest.mark.timeout(300)]

MODEL = "gpt-4o-mini"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me a very long story."}]


def connect(server: ServerProcess, retries: int = 0) -> OpenAI:
    """A client of this server."""
    return OpenAI(base_url=server.base_url, api_key="any", max_retries=retries, timeout=60)


def long_stream(client: OpenAI, tokens: int) -> Any:
    """A stream that goes on for exactly this many tokens."""
    return client.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        stream=True,
        max_completion_tokens=tokens,
        extra_body={"ignore_eos": True},
    )


def post(server: ServerProcess, body: dict[str, Any]) -> http.client.HTTPConnection:
    """Send a request; its answer is still to be read."""
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    return connection


def accepts_connections(server: ServerProcess) -> bool:
    """Whether anybody listens there."""
    port = urlsplit(server.base_url).port or 0
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_the_group_ends_everything_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """An idle server ends at once with 0, without a traceback and without leaving a process."""
    with running(tmp_path) as server:
        server.signal_group(number)

        assert server.popen.wait(20) == 0
        assert server.group() == []
        assert "Traceback" not in server.stderr
        assert not accepts_connections(server)


def test_running_answers_finish_after_a_stop_signal(tmp_path: Path) -> None:
    """The signal, though it comes twice as with make, lets a stream reach its end; new work is refused."""
    with running(tmp_path) as server, connect(server) as client, long_stream(client, 150) as stream:
        chunks = [next(stream)]
        server.signal_group(signal.SIGTERM)
        server.signal_group(signal.SIGTERM)
        chunks += stream

        assert chunks[-1].choices[0].finish_reason == "length"
        assert server.popen.wait(20) == 0


def test_answers_longer_than_the_drain_time_end_in_one_error(tmp_path: Path) -> None:
    """What still runs when the time is over is told so, and the process ends with 0."""
    with (
        running(tmp_path, "--drain-s", "0.2") as server,
        connect(server) as client,
        long_stream(client, 6000) as stream,
    ):
        next(stream)
        server.signal_group(signal.SIGTERM)
        with pytest.raises(openai.APIError, match="shutting down"):
            list(stream)

        assert server.popen.wait(20) == 0


def test_killed_engine_is_told_and_replaced(tmp_path: Path) -> None:
    """Streams end in one error event, whole answers in a 503, and then the server works as before."""
    with running(tmp_path) as server, connect(server) as client:
        whole = post(server, {"model": MODEL, "messages": HELLO, "ignore_eos": True})
        with long_stream(client, 6000) as stream:
            next(stream)  # The request before it is under way, too.
            (engine,) = server.engines()
            os.kill(engine, signal.SIGKILL)

            with pytest.raises(openai.APIError) as caught:
                list(stream)
        answer = whole.getresponse()
        error = json.load(answer)["error"]
        whole.close()

        assert not isinstance(caught.value, openai.APIConnectionError)
        assert answer.status == 503
        assert error["type"] == caught.value.type
        with connect(server, retries=10) as patient:
            again = patient.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=3)
        assert again.usage is not None
        assert again.usage.completion_tokens == 3
        assert server.engines() != [engine]
        assert len(server.engines()) == 1
