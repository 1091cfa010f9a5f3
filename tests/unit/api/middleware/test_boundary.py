"""Where errors become answers."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.api.exchange import begin_exchange
from antiphon.api.middleware.boundary import ErrorBoundary
from antiphon.api.presence import ClientGone
from tests.unit.api.live import running
from tests.unit.api.scripted import ScriptedCompletions


def failing(error: Exception, *, started: bool) -> ASGIApp:
    """An application that raises, before or after its answer began."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    return app


async def sent_by(app: ASGIApp) -> tuple[list[MutableMapping[str, Any]], int]:
    """The messages that the boundary around an application sends, and the status it notes."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError

    scope: Scope = {"type": "http", "method": "GET"}
    exchange = begin_exchange(scope)
    await ErrorBoundary(app)(scope, receive, send)
    return sent, exchange.status


async def test_bug_becomes_a_500_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The answer and the log share the request's id; only the log knows more."""
    completions = ScriptedCompletions((ValueError("/secret/path"),))
    async with running(completions) as live:
        response = await live.chat()
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "secret" not in response.text
    assert response.headers["x-request-id"] in caplog.text


async def test_bug_after_the_answer_began_sends_no_second_answer() -> None:
    """The connection is cut instead, by the server below."""
    sent, _ = await sent_by(failing(ValueError(), started=True))
    assert [message["type"] for message in sent] == ["http.response.start"]


async def test_departed_client_is_not_answered() -> None:
    """Nobody is there; the log shows 499."""
    assert await sent_by(failing(ClientGone(), started=False)) == ([], 499)


async def test_departed_client_of_a_stream_keeps_its_status() -> None:
    """The answer had begun with 200, so that is what the log shows."""
    _, status = await sent_by(failing(ClientGone(), started=True))
    assert status == 0
