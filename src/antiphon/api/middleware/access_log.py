"""One line per request: method, route, model, status, milliseconds, request id. No content, path or key.

The line is written when the answer is complete, so a stream's time is that of the whole stream. The
metrics of requests are counted at the same moment. What is asked for every second, by an open dashboard
or by probes, is logged at debug level while it goes well: it would bury everything else.
"""

import logging
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.api.exchange import exchange_of
from antiphon.telemetry.metrics import Metrics

logger = logging.getLogger("antiphon.access")

_OFTEN = frozenset({"/v1/antiphon/stats", "/health", "/health/live", "/health/ready"})


class AccessLog:
    """Logs what became of each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Wrap the rest of the application."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, then log it."""
        started = time.monotonic()
        try:
            await self._app(scope, receive, send)
        finally:
            exchange = exchange_of(scope)
            seconds = time.monotonic() - started
            logger.log(
                logging.DEBUG if exchange.route in _OFTEN and exchange.status < 400 else logging.INFO,
                "method=%s route=%s model=%s status=%d ms=%d request=%s",
                scope["method"],
                exchange.route,
                exchange.model,
                exchange.status,
                round(seconds * 1000),
                exchange.id,
            )
            self._metrics.request_answered(scope["method"], exchange.route, exchange.status, seconds)
            if exchange.error:
                self._metrics.error_told(exchange.route, exchange.error)
