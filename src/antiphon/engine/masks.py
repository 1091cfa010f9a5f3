"""The masks of a step, filled while the model runs.

Which tokens a constraint allows next is known before the model says which it would like. So the masks of
all sequences that are about to draw are asked for when the forward pass begins: the grammar library fills
them in threads of its own, without the interpreter's lock, as the inference library computes without it.

Invariant: between `begin` and `finish` nobody else asks the matchers anything; what they allow is the same
as without this.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from antiphon.engine.constraint import MaskBatch, Matcher

_log = logging.getLogger(__name__)


class MasksAhead:
    """Fills masks in a thread."""

    def __init__(self) -> None:
        """The thread starts with the first masks."""
        self._thread = ThreadPoolExecutor(1, "masks")
        self._batch = MaskBatch()
        self._filling: Future[None] | None = None

    def begin(self, matchers: Sequence[Matcher]) -> None:
        """Begin with these. `finish` comes next."""
        if matchers:
            self._filling = self._thread.submit(self._batch.fill, matchers)

    def finish(self) -> None:
        """Wait until they are done. Where that failed each matcher is asked alone, later."""
        filling, self._filling = self._filling, None
        error = filling.exception() if filling else None
        if error is not None:
            _log.error("masks were not filled ahead: %s", type(error).__name__)
