"""How long work on a model is shown to whoever waits for it."""

from typing import Protocol


class Progress(Protocol):
    """Shows one step at a time: `start`, any number of `advance`, `done`, then perhaps the next `start`.

    A step that fails gets no `done`: the error is what is shown then.
    """

    def start(self, label: str, total_bytes: int | None) -> None:
        """A step begins; None: nobody knows how much there is to do."""
        ...

    def advance(self, count: int) -> None:
        """`count` more bytes of the step are done."""
        ...

    def done(self) -> None:
        """The step is over."""
        ...


class Silent:
    """Progress that nobody watches."""

    def start(self, label: str, total_bytes: int | None) -> None:
        """Show nothing."""

    def advance(self, count: int) -> None:
        """Show nothing."""

    def done(self) -> None:
        """Show nothing."""
