"""How a command ends that cannot do what it was asked: one line on stderr, and an exit code."""

from typing import NoReturn

import typer


def fail(error: Exception | str, code: int = 1) -> NoReturn:
    """Say it and exit: 1 where it went wrong, 2 where it was asked for wrongly."""
    typer.echo(f"antiphon: {error}", err=True)
    raise typer.Exit(code)
