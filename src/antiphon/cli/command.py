"""The `antiphon` command: its subcommands put together, and `serve`.

Everything heavy is imported inside the command, so that `--help` answers at once. No setting is
declared here: flags are made from `config.Settings`.

Invariant: whatever an operator did wrong is told in one line on stderr, without a traceback; a stop
signal ends with exit code 0, wrong settings with 2, a server that cannot start with 1.
"""

from typing import Annotated, Any

import typer

from antiphon import __version__
from antiphon.cli.bench.command import BENCH_HELP, BenchOptions, bench
from antiphon.cli.chat.command import CHAT_HELP, ChatOptions, chat
from antiphon.cli.check.command import check
from antiphon.cli.config_command import config_app
from antiphon.cli.ending import fail
from antiphon.cli.flags import serve_parameters, with_options, with_parameters
from antiphon.cli.model_commands import models, pull
from antiphon.cli.server_commands import ps, stop
from antiphon.config import ConfigError, load
from antiphon.settings import Settings


def main() -> None:
    """Run the command of this process's arguments and exit."""
    build_app()()


def build_app() -> typer.Typer:
    """The command tree."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(_root)
    app.command("serve", help=_SERVE_HELP)(with_parameters(_serve, serve_parameters()))
    app.command("chat", help=CHAT_HELP)(with_options(chat, ChatOptions))
    app.command("bench", help=BENCH_HELP)(with_options(bench, BenchOptions))
    for command in (pull, models, ps, stop, check):
        app.command()(command)
    app.add_typer(config_app(), name="config")
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
        fail(error, 2)

    try:
        _run(settings)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _run(settings: Settings) -> None:
    """Import the server's parts, which takes a moment, and run it."""
    from antiphon.app import run
    from antiphon.assembly import StartError
    from antiphon.cli.banner import print_banner
    from antiphon.cli.progress import open_progress

    try:
        run(settings, open_progress, print_banner)
    except StartError as error:
        fail(error, 1)
