"""How values are put into words for a client: JSON type names, lists of choices, short excerpts.

Texts that a client sent come back only through `excerpt`: cut and without control characters, so
that an error can neither grow with its input nor forge a line of a log.
"""

from collections.abc import Sequence

EXCERPT_LENGTH = 64
"""Characters of a client's text that an error repeats at most."""


def excerpt(text: str, length: int = EXCERPT_LENGTH) -> str:
    """The beginning of a text on one printable line, with "…" where it was cut."""
    kept = text[:length]
    printable = "".join(character if character.isprintable() else "?" for character in kept)
    return printable if len(text) <= length else printable + "…"


def type_name(value: object) -> str:
    """A decoded JSON value's type with its article, as OpenAI's errors spell it."""
    if value is None:
        return "null"
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a decimal number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names[type(value)]


def choices_text(choices: Sequence[str]) -> str:
    """Quoted choices as a list in a sentence: 'a', 'b', and 'c'."""
    quoted = [f"'{choice}'" for choice in choices]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return ", ".join(quoted[:-1]) + f", and {quoted[-1]}"
