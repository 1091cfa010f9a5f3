"""Gives every answer its request id and the headers that OpenAI's answers always carry.

It is the outermost part, so errors, streams and refused requests have them too.
"""

import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.api.exchange import begin_exchange

API_VERSION = "2020-10-01"
"""OpenAI's name for the version of this API; it has not changed in years."""


class Identity:
    """Begins the exchange of each request and adds its headers to the answer."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the rest of the application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on.

        Raises:
            NotImplementedError: it is not HTTP; servers take this as "unsupported".
        """
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        exchange = begin_exchange(scope)
        started = time.monotonic()

        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = exchange.id
                headers["openai-processing-ms"] = str(round((time.monotonic() - started) * 1000))
                headers["openai-version"] = API_VERSION
                headers.update(exchange.headers)
            await send(message)

        await self._app(scope, receive, send_identified)
