"""What a person reads once the server is ready: where it is, what it serves, a line to try it with."""

import json
import shlex

from rich.console import Console
from rich.text import Text

from antiphon import __version__
from antiphon.app import Serving


def print_banner(serving: Serving) -> None:
    """Write the banner to stdout; colours only where that is a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(banner(serving))


def banner(serving: Serving) -> Text:
    """The banner's text. Its curl line works when pasted into a shell."""
    text = Text()
    text.append(f"Antiphon {__version__} is ready\n\n", style="bold")
    rows = [("Base URL", serving.base_url), ("Model", serving.model)]
    if serving.aliases:
        rows.append(("Also as", ", ".join(serving.aliases)))
    if serving.others:
        rows.append(("On demand", ", ".join(serving.others)))
    if serving.playground:
        rows.append(("In browser", serving.base_url.removesuffix("v1")))
    rows.append(("Access", _access(serving)))
    for name, value in rows:
        text.append(f"  {name:<12}", style="dim").append(f"{value}\n")
    text.append("\nTry it:\n\n").append(curl_line(serving), style="cyan")
    text.append("\n\nStop with Ctrl+C.")
    return text


def curl_line(serving: Serving) -> str:
    """A whole request to paste into a shell."""
    body = {"model": serving.model, "messages": [{"role": "user", "content": "Hello! How are you today?"}]}
    authorization = '-H "Authorization: Bearer $OPENAI_API_KEY" ' if serving.keys else ""
    return (
        f"curl {shlex.quote(serving.base_url + '/chat/completions')} {authorization}"
        f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
    )


def _access(serving: Serving) -> str:
    if serving.keys:
        return f"with an API key ({serving.keys} configured)"
    if serving.loopback:
        return "this machine only, no key needed"
    return f"OPEN to everyone who can reach {serving.host}, no key needed"
