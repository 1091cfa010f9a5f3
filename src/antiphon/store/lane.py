"""A database connection with a thread of its own, so that nothing blocks the event loop.

Work waits its turn in a bounded line. After a failure the connection is closed and the next work
gets a new one, which recovers from the log what was committed: once a sync has failed, nobody can
say what an open handle still promises.

Invariant: work of one lane never overlaps.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw

from antiphon.core.errors import StoreUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

Connect = Callable[[], apsw.Connection]


class Lane:
    """Runs work on its connection, one piece after the other."""

    def __init__(self, name: str, connect: Connect, capacity: int) -> None:
        """Let at most `capacity` pieces of work wait or run; connect when the first one comes."""
        self._connect = connect
        self._capacity = capacity
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"store-{name}")
        self._connection: apsw.Connection | None = None
        self.waiting = 0
        """Pieces of work that wait or run."""
        self.failed = False
        """The last piece of work failed."""

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """What the work returns. When the caller is cancelled, work that runs goes on.

        Raises:
            StoreUnavailable: it failed, or too much waits.
        """
        if self.waiting >= self._capacity:
            raise StoreUnavailable()
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """End the thread once its work is done. Blocks; idempotent."""
        self._thread.shutdown()
        self._drop()

    def _work(self, work: Callable[[apsw.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._connect()
            result = work(self._connection)
        except apsw.Error as error:
            # The text may quote what was stored; the class tells what is wrong with the disk.
            logger.error("store failed: %s", type(error).__name__)
            self.failed = True
            self._drop()
            raise StoreUnavailable from None
        self.failed = False
        return result

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(True)
