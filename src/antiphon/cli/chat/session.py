"""A conversation at a terminal: lines in, answers out as they come.

Lines can be edited and recalled as in a shell; nothing that was typed is written to the disk.

Invariant: an answer that failed or was stopped leaves a conversation that can go on.
"""

from collections.abc import Callable

import typer
from rich.console import Console

from antiphon.cli.chat.commands import COMMANDS, run_command
from antiphon.cli.chat.conversation import Conversation, UsageError
from antiphon.cli.chat.turn import Turn, harmless, run_turn
from antiphon.cli.client import ApiError, Endpoint

_PROMPT = ">>> "
_MORE = "... "
_FENCE = '"""'


class Session:
    """One conversation until its person leaves."""

    def __init__(self, endpoint: Endpoint, conversation: Conversation) -> None:
        """Talk to this server."""
        self._endpoint = endpoint
        self._conversation = conversation
        self._console = Console(markup=False, highlight=False)

    def run(self) -> None:
        """Read and answer until the end of the input or `/exit`."""
        _edit_lines()
        self._note(f"{self._conversation.model} at {self._endpoint.url}. /help lists the commands.")
        while True:
            try:
                text = read_message(input)
            except EOFError:
                typer.echo()
                return
            except KeyboardInterrupt:
                typer.echo()
                continue
            if text and not self._take(text):
                return

    def _take(self, text: str) -> bool:
        """Act on a message or command; False: the person leaves."""
        if not text.startswith("/"):
            self._conversation.ask(text)
            self._answer()
            return True
        try:
            outcome = run_command(self._conversation, text)
        except UsageError as error:
            self._note(str(error))
            return True
        if outcome.words:
            self._note(outcome.words)
        if outcome.next == "answer":
            self._answer()
        return outcome.next != "exit"

    def _answer(self) -> None:
        """Show the next answer and keep it; one that fails takes its question with it."""
        turn = Turn()
        try:
            run_turn(self._endpoint, self._conversation.body(), turn, self._show)
        except KeyboardInterrupt:
            turn.finish_reason = "stopped"
        except ApiError as error:
            self._note(f"\n{error}" if turn.text else str(error))
            self._conversation.undo()
            return
        self._conversation.answer(turn.text)
        typer.echo()
        self._note(turn.summary() or str(turn.finish_reason))

    def _show(self, piece: str) -> None:
        typer.echo(harmless(piece), nl=False)

    def _note(self, text: str) -> None:
        self._console.print(harmless(text), style="dim", soft_wrap=True)


def read_message(read_line: Callable[[str], str]) -> str:
    """One message, of several lines where it is fenced or its lines end in a backslash.

    Raises:
        EOFError: the input has ended.
    """
    line = read_line(_PROMPT)
    if line.startswith(_FENCE):
        return _fenced(line.removeprefix(_FENCE), read_line)
    lines = [line]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(read_line(_MORE))
    return "\n".join(lines).strip()


def _fenced(line: str, read_line: Callable[[str], str]) -> str:
    lines = [line]
    while _FENCE not in lines[-1]:
        lines.append(read_line(_MORE))
    lines[-1] = lines[-1].partition(_FENCE)[0]
    return "\n".join(lines).strip()


def _edit_lines() -> None:
    """Let `input` edit and recall lines, and complete commands, where this Python can."""
    try:
        import readline
    except ImportError:
        return

    def complete(text: str, state: int) -> str | None:
        return next(iter([f"/{name}" for name in COMMANDS if f"/{name}".startswith(text)][state:]), None)

    readline.set_completer_delims(" ")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
