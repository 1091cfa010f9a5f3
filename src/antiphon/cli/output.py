"""What commands print for a person or for a script: tables, sizes, JSON."""

import json
from collections.abc import Iterable, Sequence

import typer
from rich.console import Console
from rich.table import Table

_UNITS = ("B", "KB", "MB", "GB")


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout, as wide as it needs where that is no terminal."""
    table = Table(*head, box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 1000
    console.print(table)


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def shown_size(count: int) -> str:
    """Bytes in decimal units: 98.4 MB."""
    size = float(count)
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit has no bound")
