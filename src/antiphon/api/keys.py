"""API keys: who may use the routes that are not public.

Keys are compared by digest in constant time, so neither their length nor a common beginning can be
measured. Without configured keys any value passes, and none: SDKs insist on sending one.

Invariant: no key is kept in plain text, logged or repeated; `masked` shows a few characters at most.
"""

import hashlib
import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from antiphon.api.http_errors import KeyRefused, KeyRequired

NO_PROJECT = "default"
"""The project of everybody where no key is needed."""


class KeyRing:
    """The keys that open this server."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Accept any of these keys; with none at all, accept everybody."""
        self._digests = tuple(_digest(key) for key in keys)

    def check(self, scope: Scope) -> str:
        """Whose request it is, when it carries a good key or none is needed: the key's digest, or "default".

        Raises:
            KeyRequired: there is no bearer token.
            KeyRefused: there is one, and it is wrong.
        """
        if not self._digests:
            return NO_PROJECT
        key = _bearer_token(Headers(scope=scope))
        if not key:
            raise KeyRequired()
        digest = _digest(key)
        # All keys are compared, whichever one matches.
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if True not in matches:
            raise KeyRefused(masked(key))
        return digest.hex()


def masked(key: str) -> str:
    """Enough of a long key to recognise it by, and nothing of a short one."""
    if len(key) < 24 or not (key.isascii() and key.isprintable()):
        return "*****"
    return f"{key[:3]}*****{key[-4:]}"


def _bearer_token(headers: Headers) -> str:
    values = headers.getlist("authorization")
    if len(values) != 1:
        return ""
    scheme, _, token = values[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
