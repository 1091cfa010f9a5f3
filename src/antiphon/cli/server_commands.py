"""`antiphon ps` and `antiphon stop`: the servers that run on this machine."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from antiphon.cli.client import ApiError, Endpoint
from antiphon.cli.ending import fail
from antiphon.cli.output import print_json, print_table
from antiphon.config import client_key, servers_folder
from antiphon.servers import RunningServer, running_servers
from antiphon.servers import stop as stop_server

_ASKED_S = 2.0
"""A server that does not say within so long how its models are, is listed without."""


def ps(as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """List your servers on this machine, and how each of their models is."""
    found = running_servers(servers_folder())
    if as_json:
        print_json([asdict(server) | {"models": _states(server)} for server in found])
    elif not found:
        typer.echo("No server of yours runs on this machine. Start one: antiphon serve", err=True)
    else:
        rows = (row for server in found for row in _rows(server))
        print_table(("PID", "URL", "MODEL", "STATE", "SINCE"), rows)


def _rows(server: RunningServer) -> Iterator[tuple[str, ...]]:
    """A row for each model; what is of the server stands in the first one."""
    head, tail = (str(server.pid), server.url), _ago(server.started)
    for model, state in _states(server).items():
        yield (*head, model, state, tail)
        head, tail = ("", ""), ""


def _states(server: RunningServer) -> dict[str, str]:
    """How each model is, "-" where the server does not tell."""
    states = dict.fromkeys((server.model, *server.others), "-")
    with contextlib.suppress(ApiError):
        states |= Endpoint(server.url, client_key(), _ASKED_S).health()
    return states


def _ago(started: int) -> str:
    seconds = max(0, int(time.time()) - started)
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def stop(
    which: Annotated[
        str | None, typer.Argument(help="Its PID, port or URL; may be left out where one server runs.")
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
        if which in (None, str(server.pid), server.url, server.url.removesuffix("/v1"))
        or server.url.endswith(f":{which}/v1")
    ]
    if len(matching) == 1:
        return matching[0]
    if not found:
        return fail("no server of yours runs on this machine")
    listed = ", ".join(f"{server.pid} at {server.url}" for server in found)
    return fail(
        f"which one? {listed}" if which is None else f"none of yours is {which}; there is {listed}", 2
    )
