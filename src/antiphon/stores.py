"""Where completions are stored: the store that the settings name, open while a server runs.

It brings a kind of store and its retention together and stores nothing itself.

Invariant: what was opened is closed when the block ends, after everything that uses it.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from antiphon.config import data_folder
from antiphon.core.ports import CompletionStore
from antiphon.service.retention import RetentionOptions, expiring
from antiphon.settings import POSTGRES_SCHEMES, Settings
from antiphon.store.errors import StoreError
from antiphon.store.memory import MemoryStore
from antiphon.store.sqlite import SqliteStore

logger = logging.getLogger(__name__)


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[CompletionStore | None]:
    """What completions are stored in while the server runs; None stores none.

    Nobody asked for the default file, so a server that cannot have it, as the second one on a
    machine, goes without.

    Raises:
        StoreError: the store that the operator named cannot be used.
    """
    try:
        store = await _open(settings)
    except StoreError as error:
        if settings.store:
            raise
        logger.warning("store: %s; completions are not stored (choose a file with --store)", error)
        store = None
    async with AsyncExitStack() as stack:
        if store is not None:
            stack.push_async_callback(store.aclose)
            if settings.store_days:
                await stack.enter_async_context(expiring(store, RetentionOptions(settings.store_days)))
        yield store


async def _open(settings: Settings) -> CompletionStore | None:
    """The store that the settings name.

    Raises:
        StoreError: it cannot be used.
    """
    if settings.store == "off":
        return None
    if settings.store == "memory" or (settings.engine == "fake" and not settings.store):
        return MemoryStore()
    if settings.store.startswith(POSTGRES_SCHEMES):
        return await _open_postgres(settings.store)
    return SqliteStore(Path(settings.store) if settings.store else data_folder() / "completions.db")


async def _open_postgres(url: str) -> CompletionStore:
    try:
        from antiphon.store.postgres import open_store  # The driver is an extra.
    except ModuleNotFoundError:
        raise StoreError("PostgreSQL needs its driver: pip install 'antiphon[postgres]'") from None
    return await open_store(url)
