"""`antiphon ps` and `antiphon stop`: the servers that run on this machine."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from antiphon.cli.ending import fail
from antiphon.cli.output import print_json, print_table
from antiphon.config import servers_folder
from antiphon.servers import RunningServer, running_servers
from antiphon.servers import stop as stop_server


def ps(as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """List your servers on this machine."""
    found = running_servers(servers_folder())
    if as_json:
        print_json([asdict(server) for server in found])
    elif not found:
        typer.echo("No server of yours runs on this machine. Start one: antiphon serve", err=True)
    else:
        _print(found)


def _print(found: list[RunningServer]) -> None:
    rows = ((str(server.pid), server.url, server.model, _ago(server.started)) for server in found)
    print_table(("PID", "URL", "MODEL", "SINCE"), rows)


def _ago(started: int) -> str:
    seconds = max(0, int(time.time()) - started)
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def stop(
    which: Annotated[
        str | None, typer.Argument(help="Its PID or port; may be left out where one server runs.")
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Stop all of them.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for running answers.", min=0)] = 60.0,
) -> None:
    """Stop a server of yours; its running answers finish first."""
    found = running_servers(servers_folder())
    for server in found if everyone else [_chosen(found, which)]:
        if not stop_server(servers_folder(), server, timeout):
            fail(f"{server.url} still runs after {timeout:g} seconds (process {server.pid})")
        typer.echo(f"{server.url}: stopped")


def _chosen(found: list[RunningServer], which: str | None) -> RunningServer:
    matching = [
        server
        for server in found
        if which is None or which == str(server.pid) or server.url.endswith(f":{which}/v1")
    ]
    if len(matching) == 1:
        return matching[0]
    if not found:
        return fail("no server of yours runs on this machine")
    listed = ", ".join(f"{server.pid} at {server.url}" for server in found)
    return fail(f"which one? {listed}" if which is None else f"none has the PID or port {which}: {listed}", 2)
