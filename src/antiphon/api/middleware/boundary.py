"""The one place where errors become answers, and where the unforeseen stops.

An `AntiphonError` is answered by the table in `errors`; anything else is logged under its request
id and answered with a 500 that says nothing about it.
"""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.api.bodies import JsonResponse
from antiphon.api.errors import answer
from antiphon.api.exchange import exchange_of
from antiphon.api.presence import ClientGone
from antiphon.core.errors import AntiphonError, InternalError

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
"""The status that logs show for a client that hung up before its answer began; never sent."""


class ErrorBoundary:
    """Turns what the rest of the application raises into answers."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the rest of the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on; raises nothing but cancellation."""
        started = False

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        error: AntiphonError
        try:
            await self._app(scope, receive, send_noting)
            return
        except ClientGone:
            if not started:
                exchange_of(scope).status = CLIENT_GONE
            return
        except AntiphonError as raised:
            error = raised
        except Exception:  # The boundary: a bug must not reach the HTTP server.
            logger.exception("request failed: request=%s", exchange_of(scope).id)
            error = InternalError()
        # An answer that already began cannot be replaced; returning cuts it off.
        if not started:
            exchange_of(scope).error = type(error).__name__
            told = answer(error, exchange_of(scope).spell_param)
            response = JsonResponse(told.body(), told.status, dict(told.headers))
            await response(scope, receive, send)
