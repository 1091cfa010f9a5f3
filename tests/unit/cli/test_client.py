"""The small client of the commands: what it makes of good and bad answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from antiphon.cli.client import ApiError, Endpoint

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@contextmanager
def server(answer: bytes) -> Iterator[tuple[Endpoint, list[bytes]]]:
    """A socket that gives one answer to whatever it is asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(1 << 16))
                connection.sendall(answer)
                # What of the request is unread at the close would make it a reset.
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5)
                with suppress(OSError):
                    while connection.recv(1 << 16):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", "sk-key"), asked
        thread.join()


def test_chunks_come_until_done() -> None:
    """Comments and blank lines between them are nothing; the key is sent."""
    events = b': hello\n\ndata: {"a": 1}\n\ndata:{"b": 2}\n\ndata: [DONE]\n\ndata: {"c": 3}\n\n'
    with server(HEAD + events) as (endpoint, asked):
        assert list(endpoint.stream({"model": "m"})) == [{"a": 1}, {"b": 2}]
    assert b"Bearer sk-key" in asked[0]
    assert asked[0].startswith(b"POST /v1/chat/completions ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (HEAD + b'data: {"a": 1}\n\n', "broke off"),
        (HEAD + b'data: {"error": {"message": "It died."}}\n\n', "It died."),
        (HEAD + b"data: nonsense\n\n", "not JSON"),
        (HEAD + b"data: []\n\n", "not a JSON object"),
        (
            b'HTTP/1.1 404 X\r\nConnection: close\r\n\r\n{"error": {"message": "No such model."}}',
            "No such model",
        ),
        (b'HTTP/1.1 401 X\r\nConnection: close\r\n\r\n{"error": "Unauthorized"}', "Unauthorized"),
        (b"HTTP/1.1 502 X\r\nConnection: close\r\n\r\n<html>", "HTTP status 502"),
        (b"", "RemoteDisconnected"),
    ],
)
def test_what_goes_wrong_is_one_error_with_the_servers_words(answer: bytes, words: str) -> None:
    """Where it had some."""
    with server(answer) as (endpoint, _), pytest.raises(ApiError, match=words):
        list(endpoint.stream({}))


def test_lists_models() -> None:
    """Those that are objects."""
    with server(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"data": [{"id": "m"}, 3]}') as (endpoint, _):
        assert endpoint.models() == [{"id": "m"}]


@pytest.mark.parametrize("url", ["ftp://host/v1", "localhost:8000", "http://host:port/v1", "http:///v1"])
def test_what_is_no_url_is_told(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ApiError, match="not a URL"):
        Endpoint(url, "").models()


def test_nobody_there() -> None:
    """In one line, with the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ApiError, match=f"127.0.0.1:{port}/v1: Connection refused"):
            Endpoint(f"http://127.0.0.1:{port}/v1", "").models()
