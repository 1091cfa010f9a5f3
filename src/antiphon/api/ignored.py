"""What a request asked for in vain, told in the answer's header and in the log.

Invariant: a client's word gets there cut, and without anything that could break a header or a line.
"""

import logging
from collections.abc import Sequence

from antiphon.api.exchange import Exchange

logger = logging.getLogger(__name__)

MAX_NAMES = 16
MAX_NAME = 64


def announce(ignored: Sequence[str], exchange: Exchange) -> None:
    """Name the fields without effect in the answer's `x-antiphon-ignored` and in the log."""
    if not ignored:
        return
    names = [_header_safe(name) for name in ignored[:MAX_NAMES]]
    if len(ignored) > MAX_NAMES:
        names.append("...")
    exchange.headers["x-antiphon-ignored"] = ", ".join(names)
    logger.info("fields without effect: request=%s fields=%s", exchange.id, ",".join(names))


def _header_safe(name: str) -> str:
    kept = name[:MAX_NAME]
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "_.-") else "?" for letter in kept
    )
