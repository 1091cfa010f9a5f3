"""Tells of each request as a span, part of the trace that the client names in `traceparent`.

Probes of health come often and tell a trace nothing; they are left out.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.api.exchange import exchange_of
from antiphon.telemetry.traces import Answered, Traces

_UNTOLD = "/health"


class Traced:
    """Wraps an exchange in its span."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        """Wrap the rest of the application."""
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; its span ends with its answer."""
        if scope["path"].startswith(_UNTOLD):
            await self._app(scope, receive, send)
            return
        with self._traces.request(scope["method"], Headers(scope=scope)) as span:
            try:
                await self._app(scope, receive, send)
            finally:
                span.answered(_answered(scope))


def _answered(scope: Scope) -> Answered:
    exchange = exchange_of(scope)
    return Answered(exchange.id, scope["method"], exchange.route, exchange.status, exchange.error)
