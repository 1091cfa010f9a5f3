"""Refuses requests by their head alone: oversized headers, foreign hosts, foreign web pages.

Why the Host is checked on every address: a web page can make its own name resolve to this
machine and then call the server as if it were that page's (DNS rebinding). Only the name it was
called by gives that away. Pages of other origins that may call it are `origins`' matter.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from antiphon.api.http_errors import BadFraming, HeadersTooLarge, HostRefused, OriginRefused, TargetTooLong
from antiphon.api.options import ApiOptions

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guards:
    """Lets a request pass only when its head is acceptable."""

    def __init__(self, app: ASGIApp, options: ApiOptions) -> None:
        """Wrap the rest of the application."""
        self._app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on.

        Raises:
            HttpError: its head is not acceptable.
        """
        self._check_sizes(scope)
        headers = Headers(scope=scope)
        host = self._check_host(headers, scope)
        if scope["method"] not in _SAFE_METHODS:
            self._check_origin(headers, host)
        await self._app(scope, receive, send)

    def _check_sizes(self, scope: Scope) -> None:
        options = self._options
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > options.max_target_bytes:
            raise TargetTooLong()
        headers = scope["headers"]
        size = sum(len(name) + len(value) for name, value in headers)
        if len(headers) > options.max_headers or size > options.max_header_bytes:
            raise HeadersTooLarge()

    def _check_host(self, headers: Headers, scope: Scope) -> str:
        """The Host header, when it names this server."""
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            raise BadFraming()
        name = host_name(hosts[0])
        allowed = self._options.allowed_hosts
        if name not in allowed and "*" not in allowed and not _is_own_address(name, scope):
            raise HostRefused()
        return hosts[0].lower()

    def _check_origin(self, headers: Headers, host: str) -> None:
        """Nothing is done for a page of another origin, unless that is named."""
        own = (f"http://{host}", f"https://{host}")
        for origin in headers.getlist("origin"):
            if origin.lower() not in own and origin not in self._options.allowed_origins:
                raise OriginRefused()


def host_name(host: str) -> str:
    """The name in a Host header, lower case, without port and trailing dot.

    Raises:
        BadFraming: the header is not a host with an optional port.
    """
    try:
        parts = urlsplit(f"//{host}")
        has_valid_port = parts.port is None or parts.port > 0
    except ValueError:
        raise BadFraming from None
    if not has_valid_port or parts.netloc != host or "@" in host or not parts.hostname:
        raise BadFraming
    name = parts.hostname
    return f"[{name}]" if ":" in name else name.removesuffix(".")


def _is_own_address(name: str, scope: Scope) -> bool:
    """True when the name is the very IP address that the connection was made to."""
    server = scope.get("server")
    if server is None:
        return False
    try:
        return ip_address(name.strip("[]")) == ip_address(server[0])
    except ValueError:
        return False
