"""Serves the built pages: every file is read once, at the start, and has a route of its own.

The pages are public where keys are set too: a browser sends no key when it opens an address, and
they hold nothing but code that anybody can have. All they show comes from routes that ask for the
key. They load nothing from elsewhere, which their content security policy enforces.

Invariant: no part of a request is used to find a file.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.playground.parameters import parameters
from antiphon.api.routing import Endpoint

_TYPES = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
    }
)
_ADDRESSES = MappingProxyType({"/index.html": "/", "/dashboard.html": "/dashboard"})

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",
    )
)
_HEADERS = MappingProxyType(
    {
        "content-security-policy": _POLICY,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
)


@dataclass(frozen=True, slots=True)
class Page:
    """A file as it is sent."""

    path: str
    """The path it is served under, from the slash on."""
    body: bytes
    media_type: str
    lasting: bool = False
    """Its name changes with its content, so browsers may keep it for good."""

    @property
    def tag(self) -> str:
        """Its entity tag, quotes included."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'

    def endpoint(self) -> Endpoint:
        """The route that serves it."""
        tag = self.tag
        caching = "public, max-age=31536000, immutable" if self.lasting else "no-cache"
        headers = {**_HEADERS, "cache-control": caching, "etag": tag}

        async def send(request: Request) -> Response:
            if tag in request.headers.get("if-none-match", ""):
                return Response(None, 304, headers)
            return Response(self.body, 200, {**headers, "content-type": self.media_type})

        return Endpoint("GET", self.path, send, public=True)


def read_pages() -> tuple[Page, ...]:
    """Every built file, and the parameters that the pages offer.

    Raises:
        KeyError: a file has an ending that no type is known for.
    """
    table = Page("/playground/parameters.json", msgspec.json.encode(parameters()), "application/json")
    return (*_read(files(__package__) / "static", ""), table)


def _read(folder: Traversable, path: str) -> Iterator[Page]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        here = f"{path}/{entry.name}"
        if entry.is_dir():
            yield from _read(entry, here)
        else:
            media_type = _TYPES[here[here.rindex(".") :]]
            yield Page(
                _ADDRESSES.get(here, here), entry.read_bytes(), media_type, here.startswith("/playground/")
            )
