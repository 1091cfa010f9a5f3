"""An answer that satisfies a constraint, or an honest refusal.

Of Lark it understands what grammars of tool calls are made of: rules of alternatives, references,
quoted literals, `(…){m,n}`, schemas behind `%json`, and texts of any length, of which it writes a
few words. Chance picks the alternative; what may be repeated is written as seldom as possible.
Through any other grammar, and regular expressions, `walked_answer` walks with the real grammar engine.

Invariant: an answer is made under the whole constraint or not at all.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from random import Random
from typing import Final

from antiphon.core.generation import Constraint
from antiphon.engine.backends.fake.json_answer import json_answer, json_text
from antiphon.engine.backends.fake.walked_answer import walked_answer

_ITEM: Final = re.compile(r'("(?:[^"\\]|\\.)*")|([A-Za-z_]\w*)|\(([^()]*)\)\{(\d+),\d+\}|(\|)|\s+')
_ANY: Final = re.escape("(?s:.*)")
_PART: Final = r"((?:[^|()/\\]|\\.)*)"
_TEXT_TO: Final = re.compile(rf"/{_ANY}\({_PART}\)/", re.DOTALL)
_TEXT_WITHOUT: Final = re.compile(rf"/{_ANY}/ & ~/{_ANY}\(.*\){_ANY}/", re.DOTALL)
_SPACES: Final = re.compile(r"/\[[ \\nrt]*\]\{0,\d+\}/")
_WORDS: Final = ("The river waits.", "A lamp answers: café.", "Quiet sings the stone. 🦜", "")
_MAX_DEPTH: Final = 16


def held_answer(constraint: Constraint, chance: Random) -> str:
    """A text that satisfies the constraint.

    Raises:
        SchemaRefused: the constraint is beyond this module, or nothing can satisfy it.
    """
    if constraint.kind == "json_schema":
        return json_answer(constraint, chance)
    if constraint.kind == "lark" and "%lark" not in constraint.text:
        with suppress(_Unreadable):
            grammar = _Grammar(constraint.text, chance)
            grammar.check()
            return grammar.rule("start", 0)
    return walked_answer(constraint)


def check_constraint(constraint: Constraint) -> None:
    """Prove that `held_answer` can answer, whatever chance decides.

    Raises:
        SchemaRefused: it cannot.
    """
    held_answer(constraint, Random(0))


class _Unreadable(Exception):
    """The grammar has more to it than this module understands."""


class _Grammar:
    """The rules of one grammar, by name."""

    def __init__(self, text: str, chance: Random) -> None:
        lines = [line.partition(":") for line in text.splitlines()]
        self._rules: Mapping[str, str] = {name.removesuffix("[lazy]"): body[1:] for name, _, body in lines}
        self._chance = chance

    def check(self) -> None:
        for name in self._rules:
            self.rule(name, 0)

    def rule(self, name: str, depth: int) -> str:
        body = self._rules.get(name)
        if body is None or depth > _MAX_DEPTH:
            raise _Unreadable
        if body.startswith("%json "):
            return json_text(body.removeprefix("%json "), self._chance)
        if body.startswith("/"):
            return self._any_text(body)
        return self._expansion(body, depth)

    def _any_text(self, body: str) -> str:
        if _SPACES.fullmatch(body):
            return ""
        words = self._chance.choice(_WORDS)
        if match := _TEXT_TO.fullmatch(body):
            return words + re.sub(r"\\(.)", r"\1", match[1].replace(r"\n", "\n"))
        if _TEXT_WITHOUT.fullmatch(body) is None:
            raise _Unreadable
        return words

    def _expansion(self, body: str, depth: int) -> str:
        alternatives: list[list[str]] = [[]]
        position = 0
        while position < len(body):
            match = _ITEM.match(body, position)
            if match is None:
                raise _Unreadable
            literal, reference, group, least, bar = match.groups()
            position = match.end()
            if bar:
                alternatives.append([])
            elif literal:
                alternatives[-1].append(json.loads(literal))
            elif reference:
                alternatives[-1].append(self.rule(reference, depth + 1))
            elif group:
                alternatives[-1] += [self._expansion(group, depth + 1) for _ in range(int(least))]
        return "".join(self._chance.choice(alternatives))
