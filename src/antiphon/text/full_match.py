"""A regular expression that an answer matches as a whole: what to compile, and a second opinion.

Read as ECMAScript reads it, like a schema's patterns, where that is possible: then it is compiled in
its narrowest sense, and another library can tell whether an answer matches. Else the grammar library
reads it as it likes, and nobody checks.

Invariant: a text that matches what is compiled passes the check.
"""

import json
from dataclasses import dataclass

from antiphon.text.schema.patterns import PatternRefused, strict_pattern
from antiphon.text.schema.validator import AnswerInvalid, AnswerValidator, SchemaMalformed


@dataclass(frozen=True, slots=True)
class OneOf:
    """Checks that a text is one of several."""

    texts: frozenset[str]

    def check(self, text: str) -> None:
        """Pass if it is.

        Raises:
            AnswerInvalid: it is none of them.
        """
        if text not in self.texts:
            raise AnswerInvalid("the answer is none of the choices")


@dataclass(frozen=True, slots=True)
class FullMatch:
    """Checks that a text matches a pattern, in linear time."""

    validator: AnswerValidator

    def check(self, text: str) -> None:
        """Pass if it does.

        Raises:
            AnswerInvalid: it does not.
        """
        self.validator.check(json.dumps(text))


def full_match(pattern: str) -> tuple[str, FullMatch | None]:
    """The pattern to compile and the check of what was written under it; None: nobody else reads it so."""
    try:
        compiled = strict_pattern(pattern)
        validator = AnswerValidator({"type": "string", "pattern": f"^(?:{pattern})$"})
    except (PatternRefused, SchemaMalformed):
        return pattern, None
    return compiled, FullMatch(validator)
