"""The `antiphon chat` command: who is to answer what, and where to."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from antiphon.cli.ending import fail
from antiphon.cli.model_commands import complete_model

if TYPE_CHECKING:
    from antiphon.cli.chat.conversation import Conversation
    from antiphon.cli.client import Endpoint

_PROMPT = typer.Argument(help="What to say; what is piped in follows it. Without either: a conversation.")
_MODEL = typer.Option("--model", "-m", help="The model to ask for.", autocompletion=complete_model)
_URL = typer.Option(
    "--url",
    envvar="ANTIPHON_URL",
    help="A server's base URL; without it, a server that runs here, else one of the chat's own.",
)
_SYSTEM = typer.Option("--system", "-s", help="The system prompt.")
_SCHEMA = typer.Option("--schema", metavar="FILE", help="Hold the answer to the JSON schema in this file.")
_SET = typer.Option(
    "--set", metavar="NAME=VALUE", help="A field of the request (temperature=0.2); repeatable."
)
_JSON = typer.Option("--json", help="Print the answer and its usage as JSON.")

CHAT_HELP = """Talk to a model.

A conversation: antiphon chat. One answer: antiphon chat "Why?".
In a pipe: cat notes | antiphon chat "Sum up".
"""


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """The command's arguments, in the order of its help."""

    prompt: Annotated[str | None, _PROMPT] = None
    model: Annotated[str | None, _MODEL] = None
    url: Annotated[str | None, _URL] = None
    system: Annotated[str, _SYSTEM] = ""
    schema: Annotated[str | None, _SCHEMA] = None
    set: Annotated[list[str] | None, _SET] = None
    as_json: Annotated[bool, _JSON] = False


def chat(options: ChatOptions) -> None:
    """Answer once, or converse."""
    from antiphon.cli.chat.connect import connected
    from antiphon.cli.chat.conversation import Conversation, UsageError, read_schema
    from antiphon.cli.client import ApiError
    from antiphon.config import ConfigError
    from antiphon.hosted.server import ServeError

    question = _question(options.prompt)
    try:
        conversation = Conversation("", options.system)
        if options.schema:
            conversation.response_format = read_schema(options.schema)
        for parameter in options.set or ():
            conversation.set_parameter(parameter)
    except UsageError as error:
        fail(error, 2)
    try:
        with connected(options.url, options.model) as server:
            conversation.model = server.model
            if question is None:
                _converse(server.endpoint, conversation)
            else:
                _answer(server.endpoint, conversation, question, options.as_json)
    except (ApiError, ServeError, ConfigError) as error:
        fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _question(prompt: str | None) -> str | None:
    """What was given and what was piped in, or None where a person is there to be asked."""
    if sys.stdin.isatty():
        return prompt
    piped = sys.stdin.read().strip()
    question = "\n\n".join(part for part in (prompt, piped) if part)
    return question or fail("there is nothing to say: neither an argument nor input", 2)


def _converse(endpoint: "Endpoint", conversation: "Conversation") -> None:
    from antiphon.cli.chat.session import Session

    Session(endpoint, conversation).run()


def _answer(endpoint: "Endpoint", conversation: "Conversation", question: str, as_json: bool) -> None:
    """Print one answer; with a schema, one that was cut is a failure, since it is no JSON."""
    from antiphon.cli.chat.turn import Turn, harmless, run_turn
    from antiphon.cli.output import print_json

    def show(piece: str) -> None:
        if not as_json:
            typer.echo(harmless(piece) if sys.stdout.isatty() else piece, nl=False)

    conversation.ask(question)
    turn = Turn()
    run_turn(endpoint, conversation.body(), turn, show)
    if as_json:
        print_json(turn.as_json())
    else:
        typer.echo()
    if turn.finish_reason == "length":
        typer.echo("antiphon: the answer was cut at the limit of tokens", err=True)
        if conversation.response_format is not None:
            raise typer.Exit(1)
