"""`antiphon config show`: each setting, its value, and where it comes from."""

from typing import Annotated

import typer

from antiphon.cli.ending import fail
from antiphon.cli.output import print_json, print_table
from antiphon.config import ConfigError, Given, gather, load, unknown_variables
from antiphon.settings import SECRETS, shown_value


def config_app() -> typer.Typer:
    """The commands of `antiphon config`."""
    app = typer.Typer(no_args_is_help=True, help="Look at the settings.")
    app.command("show")(show)
    # A group of one command would otherwise be that command.
    app.callback()(lambda: None)
    return app


def show(
    config: Annotated[str | None, typer.Option(metavar="FILE", help="Settings file, in TOML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")] = False,
) -> None:
    """Show what `antiphon serve` would use here: each setting, its value, and where it comes from."""
    flags = {} if config is None else {"config": config}
    try:
        given = gather(flags)
        load(flags)
    except ConfigError as error:
        fail(error, 2)
    if as_json:
        print_json(
            {name: {"value": _safe(name, entry), "source": entry.source} for name, entry in given.items()}
        )
    else:
        rows = ((name, _text(_safe(name, entry)), entry.source) for name, entry in given.items())
        print_table(("SETTING", "VALUE", "FROM"), rows)
    for name, meant in unknown_variables().items():
        typer.echo(f"antiphon: {name} is no setting{f'; did you mean {meant}?' if meant else ''}", err=True)


def _safe(name: str, given: Given) -> object:
    """The value without secrets."""
    if name in SECRETS:
        return f"{len(given.value) if isinstance(given.value, tuple) else bool(given.value):d} configured"
    return shown_value(name, given.value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "-"
    return str(value) if value != "" else "-"
