"""Which path leads where, and who may go there.

Paths are matched exactly, as decoded once by the HTTP server; a trailing slash (the root is none)
or a control character matches nothing. A path without a route asks for a key like any other, so that keyless
callers cannot map the server.

Invariant: every route says whether it is public; there is no default to forget.
"""

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.api.exchange import exchange_of
from antiphon.api.http_errors import MethodNotAllowed, UrlNotFound
from antiphon.api.keys import KeyRing

Handler = Callable[[Request], Awaitable[Response]]


class Endpoint(Route):
    """A route that says who may use it."""

    def __init__(self, method: str, path: str, handler: Handler, *, public: bool) -> None:
        """Answer `method` on `path` (GET answers HEAD too); `public` routes need no key."""
        super().__init__(path, handler, methods=[method])
        self.public = public

    def accepts(self, scope: Scope) -> bool:
        """True when this route has the request's path, whatever the method."""
        return self.matches(scope)[0] is not Match.NONE


class Dispatcher:
    """The application inside all middleware: checks the key, then runs the route."""

    def __init__(self, endpoints: Sequence[Endpoint], keys: KeyRing) -> None:
        """Serve these endpoints.

        Raises:
            TypeError: one of them does not say who may use it.
        """
        for endpoint in endpoints:
            if not isinstance(endpoint, Endpoint):
                raise TypeError(f"{endpoint!r} does not declare who may use it")
        self._endpoints = tuple(endpoints)
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            KeyRequired, KeyRefused: the route is not public and there is no good key.
            UrlNotFound, MethodNotAllowed: no route.
        """
        found = self._find(scope)
        if not (found and all(endpoint.public for endpoint in found)):
            exchange_of(scope).project = self._keys.check(scope)
        await self._choose(found, scope)(scope, receive, send)

    def _find(self, scope: Scope) -> list[Endpoint]:
        """The routes of the request's path, for whichever methods."""
        path: str = scope["path"]
        if (path.endswith("/") and path != "/") or not path.isprintable():
            return []
        return [endpoint for endpoint in self._endpoints if endpoint.accepts(scope)]

    def _choose(self, found: Sequence[Endpoint], scope: Scope) -> ASGIApp:
        """The route of the request's method."""
        if not found:
            raise UrlNotFound(scope["method"], scope["path"])
        exchange_of(scope).route = found[0].path
        for endpoint in found:
            match, child_scope = endpoint.matches(scope)
            if match is Match.FULL:
                scope.update(child_scope)
                return endpoint.app
        allowed = {method for endpoint in found for method in endpoint.methods or ()}
        raise MethodNotAllowed(scope["method"], scope["path"], tuple(sorted(allowed)))
