"""What a person can type besides a message: lines that begin with a slash.

Each command changes the conversation and returns what is to be said about it. Commands know no
terminal; `/retry` and `/exit` are told to the session by what they return.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from antiphon.cli.chat.conversation import Conversation, UsageError, read_schema

Next = Literal["go on", "answer", "exit"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did: words for the person, and what the session does next."""

    words: str = ""
    next: Next = "go on"


@dataclass(frozen=True, slots=True)
class Command:
    """One command: how it is written, what it does."""

    usage: str
    help: str
    run: Callable[[Conversation, str], Outcome]


def run_command(conversation: Conversation, line: str) -> Outcome:
    """Run a line that begins with a slash.

    Raises:
        UsageError: there is no such command, or it cannot do that.
    """
    name, _, argument = line[1:].partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        near = get_close_matches(name, COMMANDS, n=1)
        raise UsageError(f"there is no /{name}" + (f"; did you mean /{near[0]}?" if near else "; see /help"))
    return command.run(conversation, argument.strip())


def _help(conversation: Conversation, argument: str) -> Outcome:
    lines = [f"  {command.usage:<22} {command.help}" for command in COMMANDS.values()]
    lines.append(
        '  """                    begins and ends a message of several lines; so does \\ at a line\'s end'
    )
    lines.append("  Ctrl+C                 stops an answer; Ctrl+D leaves")
    return Outcome("\n".join(lines))


def _clear(conversation: Conversation, argument: str) -> Outcome:
    conversation.turns.clear()
    return Outcome("a new conversation")


def _system(conversation: Conversation, argument: str) -> Outcome:
    conversation.system = argument
    return Outcome("system prompt set" if argument else "no system prompt")


def _model(conversation: Conversation, argument: str) -> Outcome:
    conversation.model = argument or conversation.model
    return Outcome(conversation.model)


def _set(conversation: Conversation, argument: str) -> Outcome:
    if argument:
        conversation.set_parameter(argument)
    shown = ", ".join(f"{name}={value}" for name, value in conversation.parameters.items())
    return Outcome(shown or "nothing is set")


def _schema(conversation: Conversation, argument: str) -> Outcome:
    conversation.response_format = read_schema(argument) if argument not in ("", "off") else None
    return Outcome(
        "answers are held to the schema" if conversation.response_format else "answers are free text"
    )


def _undo(conversation: Conversation, argument: str) -> Outcome:
    conversation.undo()
    return Outcome(f"{len(conversation.turns)} messages are left")


def _retry(conversation: Conversation, argument: str) -> Outcome:
    if not conversation.take_back_answer():
        raise UsageError("nothing was asked yet")
    return Outcome(next="answer")


def _save(conversation: Conversation, argument: str) -> Outcome:
    if not argument:
        raise UsageError("/save needs the name of a file")
    text = "".join(f"## {turn['role']}\n\n{turn['content']}\n\n" for turn in conversation.turns)
    try:
        Path(argument).expanduser().write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{argument}: {error.strerror}") from error
    return Outcome(f"saved to {argument}")


def _exit(conversation: Conversation, argument: str) -> Outcome:
    return Outcome(next="exit")


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "help": Command("/help", "this list", _help),
        "clear": Command("/clear", "begin a new conversation", _clear),
        "system": Command("/system TEXT", "set the system prompt; empty: none", _system),
        "set": Command("/set NAME=VALUE", "set a field of the requests (temperature=0.2)", _set),
        "schema": Command("/schema FILE|off", "hold answers to a JSON schema", _schema),
        "model": Command("/model NAME", "talk to another model of the server", _model),
        "retry": Command("/retry", "answer the last message anew", _retry),
        "undo": Command("/undo", "forget the last message and its answer", _undo),
        "save": Command("/save FILE", "write the conversation to a file", _save),
        "exit": Command("/exit", "leave", _exit),
    }
)
