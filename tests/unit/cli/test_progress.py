"""Progress while a model is prepared: bars on a terminal, lines elsewhere."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from antiphon.cli.progress import Bars, Lines, open_progress


def test_lines_tell_the_beginning_and_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, with the size where it is known."""
    with open_progress() as progress:
        progress.start("Fetching m", 93_000_000)
        progress.advance(1000)
        progress.done()

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["Fetching m (93 MB) ...", "Fetching m: done"]


def test_bars_leave_one_line_per_step() -> None:
    """What moved is gone at the end."""
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    with Progress(console=console, transient=True) as display:
        bars = Bars(display)
        bars.start("Preparing m", None)
        bars.advance(5)
        bars.done()

        assert display.tasks == []
    assert isinstance(console.file, io.StringIO)
    assert "Preparing m: done" in console.file.getvalue()


def test_output_that_is_no_terminal_gets_lines() -> None:
    """As under pytest."""
    with open_progress() as progress:
        assert isinstance(progress, Lines)
