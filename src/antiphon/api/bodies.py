"""Request bodies in, JSON answers out.

A body must be declared as JSON, is bounded in bytes, time and nesting, and is decoded only when it
is whole: a client that hangs up in between is never answered on half a body.
"""

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from antiphon.api.http_errors import BodyTimeout, BodyTooLarge, MalformedJson, UnsupportedMediaType
from antiphon.api.options import ApiOptions
from antiphon.api.presence import ClientGone

MAX_DEPTH = 64
"""Objects and arrays inside each other."""
MAX_BRACKETS = 250_000
"""Opening brackets and braces, those within texts included: each may cost a hundred bytes of memory
and the event loop's time. A text with more of them is longer than any model's context."""

_HINT = (
    "This likely means you aren't using your HTTP library correctly. The API expects a JSON payload, "
    "but what was sent was not valid JSON."
)


class JsonResponse(Response):
    """A JSON answer, keys in the order given."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode compactly."""
        return msgspec.json.encode(content)


async def read_json(request: Request, options: ApiOptions) -> object:
    """The decoded body.

    Raises:
        UnsupportedMediaType: it is not declared as plain JSON.
        BodyTooLarge: it is, or claims to be, too large.
        BodyTimeout: it did not arrive in time.
        MalformedJson: it is not JSON.
        ClientGone: the client hung up before the end.
    """
    _check_media_type(request)
    try:
        async with asyncio.timeout(options.body_timeout):
            body = await _read_body(request, options.max_body)
    except TimeoutError:
        raise BodyTimeout from None
    return decode_json(body)


def decode_json(body: bytes) -> object:
    """Decode JSON text, at most `MAX_DEPTH` deep.

    Raises:
        MalformedJson: it is not JSON, or too deep, or too full of brackets.
    """
    if body.count(b"[") + body.count(b"{") > MAX_BRACKETS:
        raise MalformedJson(f"It has more than {MAX_BRACKETS} opening brackets.")
    try:
        value: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedJson(_HINT) from None
    except RecursionError:
        raise _too_deep() from None
    _check_depth(value)
    return value


async def _read_body(request: Request, limit: int) -> bytes:
    if int(request.headers.get("content-length", "0")) > limit:
        raise BodyTooLarge(limit)
    body = bytearray()
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge(limit)
        more = message.get("more_body", False)
    return bytes(body)


def _check_depth(value: object) -> None:
    """Level by level, so that the check itself cannot recurse."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> MalformedJson:
    return MalformedJson(f"Its arrays and objects are nested more than {MAX_DEPTH} deep.")


def _check_media_type(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise UnsupportedMediaType("Compressed request bodies are not accepted.")
    declared = request.headers.getlist("content-type")
    if len(declared) != 1 or not _is_json(declared[0]):
        raise UnsupportedMediaType("Unsupported content type. The API expects 'application/json'.")


def _is_json(declared: str) -> bool:
    media_type, *parameters = (part.strip().lower() for part in declared.split(";"))
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    charsets = (parameter[8:].strip('"') for parameter in parameters if parameter.startswith("charset="))
    return is_json and all(charset in ("utf-8", "utf8") for charset in charsets)
