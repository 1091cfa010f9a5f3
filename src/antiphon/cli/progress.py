"""How long preparing a model takes, shown on stderr: bars for a person, plain lines for a log."""

import contextlib
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

from antiphon.models.progress import Progress as ModelProgress


@contextlib.contextmanager
def open_progress() -> Iterator[ModelProgress]:
    """Show progress until the block ends, however it ends."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Elapsed())
    with Progress(*columns, console=console, transient=True) as display:
        yield Bars(display)


class Bars:
    """One bar for the current step; it disappears at the end, and a line says that it is done."""

    def __init__(self, display: Progress) -> None:
        """Draw on this live display."""
        self._display = display
        self._label = ""
        self._task: TaskID | None = None

    def start(self, label: str, total_bytes: int | None) -> None:
        """Put up a bar; it only pulses if nobody knows the total."""
        self._label = label
        self._task = self._display.add_task(label, total=total_bytes)

    def advance(self, count: int) -> None:
        """Move the bar by this many bytes."""
        if self._task is not None:
            self._display.advance(self._task, count)

    def done(self) -> None:
        """Take the bar down."""
        if self._task is not None:
            self._display.remove_task(self._task)
            self._display.console.print(f"{self._label}: done", markup=False, highlight=False)


class Lines:
    """One line as a step begins and one as it ends, for logs and pipes."""

    def __init__(self) -> None:
        """Nothing has begun."""
        self._label = ""

    def start(self, label: str, total_bytes: int | None) -> None:
        """Say what begins, and how large it is."""
        self._label = label
        size = "" if total_bytes is None else f" ({total_bytes / 1e6:.0f} MB)"
        typer.echo(f"{label}{size} ...", err=True)

    def advance(self, count: int) -> None:
        """Say nothing."""

    def done(self) -> None:
        """Say that it is done."""
        typer.echo(f"{self._label}: done", err=True)
