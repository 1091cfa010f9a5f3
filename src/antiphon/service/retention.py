"""Forgets stored completions that are older than the operator keeps them, while a server runs.

Invariant: what had expired when the server started is gone before it answers; what expires later
goes within a period.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from antiphon.core.errors import StoreUnavailable
from antiphon.core.ports import CompletionStore

logger = logging.getLogger(__name__)

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """How long completions are kept."""

    days: int
    """At least 1."""
    period_s: float = 60.0
    """Seconds from one look to the next."""
    clock: Callable[[], float] = time.time
    """Unix seconds."""


@asynccontextmanager
async def expiring(store: CompletionStore, options: RetentionOptions) -> AsyncIterator[None]:
    """Forget what has expired, now and until the block ends."""
    await _forget_expired(store, options)
    task = asyncio.create_task(_keep_forgetting(store, options), name="retention")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep_forgetting(store: CompletionStore, options: RetentionOptions) -> None:
    while True:
        await asyncio.sleep(options.period_s)
        await _forget_expired(store, options)


async def _forget_expired(store: CompletionStore, options: RetentionOptions) -> None:
    before = int(options.clock()) - options.days * _DAY_S
    forgotten = 0
    with suppress(StoreUnavailable):  # The store has logged why; the next look tries again.
        while count := await store.expire(before):
            forgotten += count
    if forgotten:
        logger.info("store: %d completions had expired", forgotten)
