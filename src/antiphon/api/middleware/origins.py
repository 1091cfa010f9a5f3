"""Lets web pages of named origins call the server and read its answers; without names, none may.

Starlette's CORS middleware speaks the protocol. It is asked about named origins alone, so any other
page finds a server that knows no CORS: no header, and `guards` refuses what it posts.

Invariant: no `Access-Control-Allow-*` header goes to an origin that was not named, and credentials
of the browser's own are never allowed.
"""

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_METHODS: Final = ("GET", "HEAD", "POST", "DELETE")
_READABLE: Final = (
    "x-request-id",
    "x-antiphon-ignored",
    "x-should-retry",
    "retry-after",
    "openai-processing-ms",
)
"""Headers of an answer that a page may read, beside those that every page may."""


class Origins:
    """Opens the application to some origins."""

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        """Wrap the rest of the application; `allowed` as browsers write origins: https://app.example."""
        self._app = app
        self._allowed = frozenset(allowed)
        self._opened = CORSMiddleware(
            app,
            allow_origins=self._allowed,
            allow_methods=_METHODS,
            # SDKs send a dozen of their own (x-stainless-*), newer ones others.
            allow_headers=("*",),
            # A page on the web may only call a server on the visitor's machine if that agrees.
            allow_private_network=True,
            expose_headers=_READABLE,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer a preflight."""
        origins = Headers(scope=scope).getlist("origin")
        is_named = len(origins) == 1 and origins[0] in self._allowed
        await (self._opened if is_named else self._app)(scope, receive, send)
