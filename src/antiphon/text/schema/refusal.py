"""How a schema is refused: where, and why, in the words that OpenAI uses where it has some."""

from dataclasses import dataclass


@dataclass(eq=False)
class SchemaUnheld(Exception):
    """A schema that no answer is held to; `reason` is a full sentence for the client."""

    reason: str
    context: tuple[str, ...] = ()
    """The keys that lead to the place; empty at the top."""
    whole: bool = False
    """It is about the schema as a whole: told without a place."""


def not_permitted(keyword: str, context: tuple[str, ...]) -> SchemaUnheld:
    """A keyword that is not carried out here."""
    return SchemaUnheld(f"'{keyword}' is not permitted.", context)


def unsatisfiable(context: tuple[str, ...], why: str) -> SchemaUnheld:
    """Nothing is valid under this."""
    return SchemaUnheld(f"no value can satisfy it: {why}.", context)
