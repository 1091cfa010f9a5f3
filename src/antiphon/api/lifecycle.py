"""How the server's end reaches the requests under way.

Two steps: while *draining*, new work is refused and old work goes on; once *cut*, old work is told
to end now. Both are one-way. Who decides when is `server`.
"""

import asyncio

from antiphon.api.http_errors import ShuttingDown


class Lifecycle:
    """The state of one server, shared by its routes."""

    def __init__(self) -> None:
        """In full service."""
        self.draining = False
        self.cut = asyncio.Event()

    def check_open(self) -> None:
        """Pass while new work is taken.

        Raises:
            ShuttingDown: it is not any more.
        """
        if self.draining:
            raise ShuttingDown()
