"""Pieces of Lark grammars, in the dialect of llguidance: literals, schemas, nested grammars, texts.

Source: llguidance's `docs/syntax.md`: `%json` holds a schema, `%lark` a whole grammar, `lazy` ends at
the first match, `&` and `~` are intersection and complement, `<[7]>` is the token of that id.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from antiphon.core.generation import Constraint

_ANY: Final = "(?s:.*)"
_REGEX_SPECIAL: Final = re.compile(r"[\\^$.|?*+()\[\]{}/]")


class Spelling:
    """Writes texts in which some parts are control tokens of the vocabulary."""

    def __init__(self, controls: Mapping[str, int]) -> None:
        """`controls` are the parts that stand for one token, with its id."""
        self._controls = controls
        longest_first = sorted(controls, key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")

    def is_control(self, text: str) -> bool:
        """Whether the whole text is one control token."""
        return text in self._controls

    def literal(self, text: str) -> str:
        """The text as an expression; nothing for nothing."""
        pieces = enumerate(self._pattern.split(text))
        return " ".join(self._piece(piece, bool(place % 2)) for place, piece in pieces if piece)

    def _piece(self, text: str, control: bool) -> str:
        return f"<[{self._controls[text]}]>" if control else json.dumps(text)


def text_without(parts: Sequence[str], beginning: str = "") -> str:
    """A terminal's body: any text that holds none of these, and does not begin so behind white space."""
    return f"/{_ANY}/ & ~/{_ANY}({_either(parts)}){_ANY}/{_not_from(beginning)}"


def text_to(parts: Sequence[str], beginning: str = "") -> str:
    """A lazy rule's body: any text up to and including the first of these, which may have to begin so."""
    start = rf"[ \n\r\t]{{0,4}}{_either([beginning])}" if beginning else ""
    return f"/{start}{_ANY}({_either(parts)})/"


def unless_within(body: str, part: str) -> str:
    """A terminal's body: what the other one allows, unless it holds this."""
    return f"{body} & ~/{_ANY}({_either([part])}){_ANY}/"


def unless_from(body: str, beginning: str) -> str:
    """A terminal's body: what the other one allows, unless it begins so behind white space."""
    return body + _not_from(beginning)


def _not_from(beginning: str) -> str:
    return rf" & ~/[ \n\r\t]*{_either([beginning])}{_ANY}/" if beginning else ""


def json_rule(name: str, schema: Mapping[str, object]) -> str:
    """A rule that writes compact JSON under a schema."""
    compact = {**schema, "x-guidance": {"whitespace_flexible": False}}
    return f"{name}: %json {json.dumps(compact, ensure_ascii=False)}"


def nested_rule(name: str, grammar: str) -> str:
    """A rule that writes what a whole grammar of its own, valid by itself, allows."""
    return f"{name}: %lark {{\n{grammar}\n}}"


def constraint_rule(name: str, constraint: Constraint) -> str:
    """A rule that writes what a constraint allows."""
    match constraint.kind:
        case "json_schema":
            return json_rule(name, json.loads(constraint.text))
        case "regex":
            return f"{name}: /{_slashes_escaped(constraint.text)}/"
        case "lark":
            return nested_rule(name, constraint.text)


def _slashes_escaped(pattern: str) -> str:
    """The same pattern with no slash that would end it; what is escaped already stays so."""
    return re.sub(r"\\.|/|\n", lambda match: _SLASHES.get(match[0], match[0]), pattern, flags=re.DOTALL)


_SLASHES: Final[Mapping[str, str]] = {"/": r"\/", "\n": r"\n"}


def _either(parts: Iterable[str]) -> str:
    return "|".join(_REGEX_SPECIAL.sub(r"\\\g<0>", part).replace("\n", r"\n") for part in parts)
