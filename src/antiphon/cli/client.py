"""Speaks the Chat Completions API to a server, with nothing but the standard library.

For the commands that talk to a server, ours or any other. It retries nothing and shows what the
server said.

Invariant: leaving the iteration of a stream closes its connection, which cancels the answer.
"""

import contextlib
import http.client
import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from antiphon import __version__

_TIMEOUT_S = 600.0
_MAX_ERROR_BYTES = 1 << 16

Json = dict[str, Any]


class ApiError(Exception):
    """A request failed; the text is one line, the server's own words where it had some."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server: its base URL, which ends in `/v1`, and a key."""

    url: str
    key: str
    timeout_s: float = _TIMEOUT_S

    def health(self) -> dict[str, str]:
        """How each of its models is, where the server is one of ours.

        Raises:
            ApiError: it cannot be reached, refuses, or none of its models answers.
        """
        with Endpoint(self.url.removesuffix("/v1"), self.key, self.timeout_s)._answer(
            "GET", "/health", None
        ) as response:
            told = _json(response.read()).get("models")
        return {str(model): str(state) for model, state in told.items()} if isinstance(told, dict) else {}

    def models(self) -> list[Json]:
        """What it serves, as it lists them.

        Raises:
            ApiError: it cannot be reached, or refuses.
        """
        with self._answer("GET", "/models", None) as response:
            listed = _json(response.read())
        data = listed.get("data")
        return [model for model in data if isinstance(model, dict)] if isinstance(data, list) else []

    def stream(self, body: Mapping[str, object]) -> Generator[Json, None, None]:
        """The chunks of a completion.

        Raises:
            ApiError: it cannot be reached, refuses, or fails in the middle.
        """
        with self._answer("POST", "/chat/completions", {**body, "stream": True}) as response:
            for line in _lines(response):
                payload = line.removeprefix(b"data:").strip()
                if payload == b"[DONE]":
                    return
                chunk = _json(payload)
                if "error" in chunk:
                    raise ApiError(_message(chunk, "the answer failed"))
                yield chunk
        raise ApiError(f"{self.url}: the answer broke off")

    @contextlib.contextmanager
    def _answer(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> Iterator[http.client.HTTPResponse]:
        parts = _split(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout_s)
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "User-Agent": f"antiphon/{__version__}",
        }
        content = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, parts.path.rstrip("/") + path, content, headers)
            response = connection.getresponse()
            if response.status != 200:
                raise _refusal(response)
            yield response
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ApiError(f"{self.url}: {reason}") from error
        finally:
            connection.close()


def _split(url: str) -> SplitResult:
    """The parts of a base URL.

    Raises:
        ApiError: it is none.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError as error:
        raise ApiError(f"{url}: not a URL") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ApiError(f"{url}: not a URL (wanted: http://host:port/v1)")
    return parts


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The data lines of a stream of events; other lines say nothing we need."""
    while line := response.readline():
        if line.startswith(b"data:"):
            yield line


def _refusal(response: http.client.HTTPResponse) -> ApiError:
    text = response.read(_MAX_ERROR_BYTES)
    try:
        body = _json(text)
    except ApiError:
        body = {}
    return ApiError(_message(body, f"HTTP status {response.status}"))


def _json(text: bytes) -> Json:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ApiError("the server's answer is not JSON") from error
    if not isinstance(value, dict):
        raise ApiError("the server's answer is not a JSON object")
    return value


def _message(body: Json, otherwise: str) -> str:
    """The words of an error: of OpenAI's form, or of the plainer ones of other servers."""
    error = body.get("error")
    told = error.get("message") if isinstance(error, dict) else error
    return told if isinstance(told, str) and told else otherwise
