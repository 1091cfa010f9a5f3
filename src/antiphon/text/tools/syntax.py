"""The syntaxes in which models write calls: fixed texts around names and arguments.

A grammar writes exactly these texts and a parser reads exactly these, so nothing is guessed. Some
of them are control tokens in some vocabularies; spelling those is for whoever knows the vocabulary.

Invariant: a name ends where the text behind it begins, because names hold letters, digits, `_` and `-`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final


class CallMalformed(Exception):
    """The text is not of the form that the grammar allows."""


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
    tag: str = ""
    """A control token that may stand before a call that has no opening."""
    in_parameters: bool = False
    """Arguments are not one JSON object, but written one by one."""

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
            self.tag,
        )

    def head(self, name: str) -> str:
        """All that stands before the arguments of the first call, if it is of this tool."""
        return f"{self.opening}{self.before_first}{self.before_name}{name}{self.before_arguments}"

    def openings(self, names: Iterable[str]) -> tuple[str, ...]:
        """The texts at which the text of an answer ends and a call of one of these tools begins."""
        if self.opening:
            return (self.opening,)
        return (*map(self.head, names), *([self.tag] if self.tag else []))

    @property
    def beginnings(self) -> tuple[str, ...]:
        """What stands before the name of the first call, in each way that there is."""
        plain = self.opening + self.before_first + self.before_name
        return (plain, self.tag + plain) if self.tag else (plain,)


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

MISTRAL: Final = CallSyntax(
    opening="[TOOL_CALLS]",
    before_first=" [",
    before_name='{"name": "',
    before_arguments='", "arguments": ',
    after_arguments="}",
    between=", ",
    closing="]",
)
"""Mistral's models up to the third tokenizer: `[TOOL_CALLS] [{"name": "f", "arguments": {}}]`.

Source: mistral-common; the chat template of Mistral-7B-Instruct-v0.3.
"""

MISTRAL_TIGHT: Final = replace(MISTRAL, before_first="[")
"""The same without the space, as Mistral-Nemo's tokenizer has it."""

MISTRAL_NAMED: Final = CallSyntax(
    opening="[TOOL_CALLS]",
    before_first="",
    before_name="",
    before_arguments="[ARGS]",
    after_arguments="",
    between="[TOOL_CALLS]",
)
"""Mistral's newer models: `[TOOL_CALLS]f[ARGS]{}`."""

BARE: Final = CallSyntax(
    opening="",
    before_first="",
    before_name='{"name": "',
    before_arguments='", "arguments": ',
    after_arguments="}",
    between=None,
)
"""Plain JSON, for templates that write calls so: one call in an answer, and nothing around it."""

LLAMA: Final = replace(BARE, before_arguments='", "parameters": ', tag="<|python_tag|>")
"""Llama 3: `{"name": "f", "parameters": {}}`, with or without `<|python_tag|>` before it.

Source: the chat templates of Llama-3.1 and Llama-3.2 Instruct, and Meta's description of its prompts.
"""

QWEN_CODER: Final = CallSyntax(
    opening="<tool_call>",
    before_first="",
    before_name="\n<function=",
    before_arguments=">\n",
    after_arguments="</tool_call>",
    between="\n<tool_call>",
    in_parameters=True,
)
"""Qwen3-Coder and Qwen3.5: each argument between tags of its own; see `tools.parameters`.

    <tool_call>
    <function=get_weather>
    <parameter=city>
    Paris
    </parameter>
    </function>
    </tool_call>
"""

SYNTAXES: Final[Mapping[str, CallSyntax]] = MappingProxyType(
    {
        "hermes": HERMES,
        "qwen-coder": QWEN_CODER,
        "mistral": MISTRAL,
        "mistral-tight": MISTRAL_TIGHT,
        "mistral-named": MISTRAL_NAMED,
        "llama": LLAMA,
        "bare": BARE,
    }
)
"""All of them by name; one that holds another comes before it."""


def syntax_of(written: str, name: str) -> str | None:
    """The name of the syntax in which a text calls this tool; None where it is none of ours."""
    return next((key for key, syntax in SYNTAXES.items() if syntax.head(name) in written), None)
