"""Errors that only HTTP knows: a request that fails before its meaning matters, or has nowhere to go.

What they look like to a client is in `errors`.

Invariant: they carry facts; of what a client sent, only what may be repeated to it.
"""

from dataclasses import dataclass

from antiphon.core.errors import ClientError, ServerError


class HttpError(ClientError):
    """A request that fails as HTTP, before its meaning matters."""


class BadFraming(HttpError):
    """Bytes that are not an HTTP/1.1 request, or a request whose Host is missing or malformed."""


@dataclass(eq=False)
class MalformedJson(HttpError):
    """A body that is not JSON, or JSON beyond all reason; `hint` is a full sentence."""

    hint: str


@dataclass(eq=False)
class KeyRequired(HttpError):
    """No API key was sent, and one is needed."""


@dataclass(eq=False)
class KeyRefused(HttpError):
    """The API key is not known; `masked` is all of it that may be repeated."""

    masked: str


class OriginRefused(HttpError):
    """A page of another origin tries to change something through its visitor's browser."""


@dataclass(eq=False)
class UrlNotFound(HttpError):
    """No route has this path."""

    method: str
    path: str


@dataclass(eq=False)
class MethodNotAllowed(HttpError):
    """The route exists, with other methods."""

    method: str
    path: str
    allowed: tuple[str, ...]


@dataclass(eq=False)
class IdNotFound(HttpError):
    """An id that nothing of its kind has, as the client wrote it."""

    what: str
    """Begins a sentence: "Message"."""
    id: str


class BodyTimeout(HttpError):
    """The request did not arrive in time."""


@dataclass(eq=False)
class BodyTooLarge(HttpError):
    """The body exceeds its cap, in bytes."""

    limit: int


class TargetTooLong(HttpError):
    """Path and query exceed their cap."""


@dataclass(eq=False)
class UnsupportedMediaType(HttpError):
    """The body is not declared as plain JSON; `reason` is a full sentence."""

    reason: str


class HostRefused(HttpError):
    """The server does not answer under the name that was asked for."""


class HeadersTooLarge(HttpError):
    """Too many headers, or too much in them."""


@dataclass(eq=False)
class ShuttingDown(ServerError):
    """The server is about to end."""

    retry_after_s: float = 5.0
