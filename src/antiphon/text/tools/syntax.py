"""The syntaxes in which models write calls: fixed texts around names and JSON arguments.

A grammar writes exactly these texts and a parser reads exactly these, so nothing is guessed. Some
of them are control tokens in some vocabularies; spelling those is for whoever knows the vocabulary.

Invariant: a name ends where the text behind it begins, because names hold letters, digits, `_` and `-`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class CallSyntax:
    """How one family of models writes the calls of an answer."""

    opening: str
    """Ends the text and opens the calls; empty where only all that stands before the arguments does."""
    before_first: str
    """Between the opening and the first call."""
    before_name: str
    before_arguments: str
    """From the name to the arguments; not empty."""
    after_arguments: str
    between: str | None
    """From one call to the next. None: an answer has one call."""
    closing: str = ""
    """Behind the last call."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All fixed texts."""
        return (
            self.opening,
            self.before_first,
            self.before_name,
            self.before_arguments,
            self.after_arguments,
            self.between or "",
            self.closing,
        )

    def head(self, name: str) -> str:
        """All that stands before the arguments of the first call, if it is of this tool."""
        return f"{self.opening}{self.before_first}{self.before_name}{name}{self.before_arguments}"

    def openings(self, names: Iterable[str]) -> tuple[str, ...]:
        """The texts at which the text of an answer ends and a call of one of these tools begins."""
        return (self.opening,) if self.opening else tuple(map(self.head, names))


HERMES: Final = CallSyntax(
    opening="<tool_call>",
    before_first="",
    before_name='\n{"name": "',
    before_arguments='", "arguments": ',
    after_arguments="}\n</tool_call>",
    between="\n<tool_call>",
)
"""Hermes and Qwen, and any model that is told of it.

    <tool_call>
    {"name": "get_weather", "arguments": {"city":"Paris"}}
    </tool_call>

Source: NousResearch/Hermes-Function-Calling; the chat template of Qwen2.5.
"""
