"""The `antiphon` command and its one subcommand, `serve`.

Everything heavy is imported inside the command, so that `--help` answers at once. No setting is
declared here: flags are made from `config.Settings`.

Invariant: whatever an operator did wrong is told in one line on stderr, without a traceback; a stop
signal ends with exit code 0, wrong settings with 2, a server that cannot start with 1.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from antiphon import __version__
from antiphon.cli.flags import serve_parameters
from antiphon.config import ConfigError, Settings, load


def main() -> None:
    """Run the command of this process's arguments and exit."""
    build_app()()


def build_app() -> typer.Typer:
    """The command tree."""
    app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(_root)
    app.command("serve", help=_SERVE_HELP)(_with_parameters(_serve, serve_parameters()))
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"antiphon {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """OpenAI's Chat Completions API on hardware you own."""


_SERVE_HELP = """Serve a model until a stop signal (Ctrl+C).

Each option can also be set in the environment (--kv-cache-mib is ANTIPHON_KV_CACHE_MIB) or in a
TOML file (kv_cache_mib = 512). API keys are never flags: use ANTIPHON_API_KEY or --api-key-file.
"""


def _serve(**given: Any) -> None:
    """Load the settings and run; `given` has None or an empty list for what was not given."""
    try:
        settings = load({name: value for name, value in given.items() if value not in (None, [])})
    except ConfigError as error:
        _fail(error, 2)

    try:
        _run(settings)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _run(settings: Settings) -> None:
    """Import the server's parts, which takes a moment, and run it."""
    from antiphon.app import StartError, run
    from antiphon.cli.banner import print_banner
    from antiphon.cli.progress import open_progress

    try:
        run(settings, open_progress, print_banner)
    except StartError as error:
        _fail(error, 1)


def _with_parameters(
    command: Callable[..., None], parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """Give a function of keywords the signature that typer reads."""
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def _fail(error: Exception, code: int) -> NoReturn:
    typer.echo(f"antiphon: {error}", err=True)
    raise typer.Exit(code)
