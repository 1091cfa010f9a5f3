"""Metrics of a server process."""

import socket
from pathlib import Path

import httpx
import pytest

from tests.live.server_process import running

pytestmark = pytest.mark.live


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def test_metrics_are_on_a_port_of_their_own(tmp_path: Path) -> None:
    """Counted from what really happened, the engine's figures among them."""
    port = free_port()
    with running(tmp_path, "--engine", "fake", "--metrics-port", str(port)) as server:
        asked = {"model": "fake", "messages": [{"role": "user", "content": "Hi"}]}
        answer = httpx.post(f"{server.base_url}/chat/completions", json=asked).json()
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        elsewhere = httpx.get(f"{server.origin}/metrics")

    lines = text.splitlines()
    tokens = answer["usage"]["prompt_tokens"]
    assert f'antiphon_prompt_tokens_total{{model="fake"}} {tokens:.1f}' in lines
    assert 'antiphon_completions_total{model="fake",outcome="finished"} 1.0' in lines
    assert 'antiphon_engine_ready{model="fake"} 1.0' in lines
    assert elsewhere.status_code == 404


def test_taken_port_is_told_before_the_server_is_ready(tmp_path: Path) -> None:
    """In one line that names the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(AssertionError, match=f"metrics_port: cannot listen on 127.0.0.1 port {port}"),
            running(tmp_path, "--engine", "fake", "--metrics-port", str(port)),
        ):
            pass


def test_metrics_answer_on_another_address_under_its_own_name(tmp_path: Path) -> None:
    """As a scraper names a pod; other names are refused there too."""
    port = free_port()
    flags = ("--engine", "fake", "--metrics-host", "127.0.0.2", "--metrics-port", str(port))
    with running(tmp_path, *flags):
        url = f"http://127.0.0.2:{port}/metrics"
        named, foreign = (httpx.get(url, headers=h).status_code for h in ({}, {"Host": "example.org"}))

    assert (named, foreign) == (200, 403)
