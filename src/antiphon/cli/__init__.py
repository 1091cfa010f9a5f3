"""The command line: arguments in, words for a person out, an exit code at the end."""

from antiphon.cli.command import main

__all__ = ["main"]
