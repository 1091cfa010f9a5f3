r"""Patterns of JSON Schema, rewritten to match no more than they do in any common dialect.

JSON Schema's patterns are ECMAScript's. The grammar library reads Rust's, clients check with whatever
their language has, and the same letters mean different things: `.` stops at other line ends, `\w`
and `\s` know Unicode or not, `[a&&b]` is an intersection in one of them. So a pattern is parsed here as
ECMAScript and written anew: what is matched positively in its narrowest sense, what is excluded in its
widest. Lookaround, back references and word boundaries are no regular expressions, and are refused.

No class of many characters has NUL in it: the grammar library takes one that has all control characters
to have the quote and the backslash, too, once they are escaped in JSON.

Invariant: a text that matches the result matches the pattern in ECMAScript, Python and Rust.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MAX_DEPTH: Final = 40
"""Groups inside each other."""
MAX_COUNT: Final = 100_000
"""Of a counted repetition."""

_SPACES: Final = r"\t\n\x0B\x0C\r "
_ALL_SPACES: Final = r"\s\x1C-\x1F\x{85}\x{FEFF}"
_ALL_WORD: Final = r"\p{L}\p{N}\p{M}\p{Pc}"
_NARROW: Final[Mapping[str, str]] = MappingProxyType(
    {
        "d": "0-9",
        "D": r"[^\p{Nd}]",
        "w": "0-9A-Z_a-z",
        "W": f"[^{_ALL_WORD}]",
        "s": _SPACES,
        "S": f"[^{_ALL_SPACES}]",
    }
)
"""What goes between brackets for a shorthand, where it may match too little but not too much."""
_WIDE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "d": r"\p{Nd}",
        "D": "[^0-9]",
        "w": _ALL_WORD,
        "W": "[^0-9A-Z_a-z]",
        "s": _ALL_SPACES,
        "S": f"[^{_SPACES}]",
    }
)
"""The other way round, for what is excluded."""
_NO_LINE_END: Final = r"[^\n\r\x{2028}\x{2029}]"
_NUL: Final = r"\x00"
_CONTROLS: Final[Mapping[str, str]] = MappingProxyType(
    {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
)


class PatternRefused(Exception):
    """No pattern, or none that can be held; the text says why."""


def strict_pattern(pattern: str) -> str:
    """The pattern in Rust's syntax.

    Raises:
        PatternRefused: it is malformed in ECMAScript, or not regular.
    """
    parser = _Parser(pattern)
    result = parser.alternatives(0)
    if not parser.at_end:
        raise PatternRefused("a ')' closes nothing")
    return result


class _Parser:
    """Recursive descent over one pattern; every method returns what it has read, rewritten."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._text)

    def alternatives(self, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise PatternRefused("its groups are nested too deeply")
        branches = [self._sequence(depth)]
        while self._taken("|"):
            branches.append(self._sequence(depth))
        return "|".join(branches)

    def _sequence(self, depth: int) -> str:
        pieces: list[str] = []
        while not self.at_end and self._peek() not in "|)":
            atom = self._atom(depth)
            count = self._quantifier()
            if count and atom in ("^", "$"):
                raise PatternRefused("an anchor is repeated")
            pieces.append(atom + count)
        return "".join(pieces)

    def _atom(self, depth: int) -> str:
        character = self._next()
        match character:
            case "^" | "$":
                return character
            case ".":
                return _NO_LINE_END
            case "(":
                return self._group(depth)
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                raise PatternRefused("there is nothing to repeat")
            case _:
                return _literal(character)

    def _group(self, depth: int) -> str:
        if self._taken("?"):
            self._group_kind()
        inner = self.alternatives(depth + 1)
        if not self._taken(")"):
            raise PatternRefused("a '(' is not closed")
        return f"(?:{inner})"

    def _group_kind(self) -> None:
        if self._taken(":"):
            return
        if self._taken("<") and not self.at_end and self._peek() not in "=!":
            end = self._text.find(">", self._at)
            if end > self._at and self._text[self._at : end].isidentifier():
                self._at = end + 1
                return
        raise PatternRefused("only groups of the kinds '(…)', '(?:…)' and '(?<name>…)' are held")

    def _quantifier(self) -> str:
        if self.at_end:
            return ""
        if self._peek() in "*+?":
            count = self._next()
        elif not (count := self._counted()):
            return ""
        self._taken("?")  # lazy or not, the same texts match
        if not self.at_end and (self._peek() in "*+?" or self._counted()):
            raise PatternRefused("a repetition is repeated")
        return count

    def _counted(self) -> str:
        """`{m}`, `{m,}` or `{m,n}` if that comes next; a brace alone is a character."""
        end = self._text.find("}", self._at)
        if self._peek() != "{" or end < 0:
            return ""
        low, comma, high = self._text[self._at + 1 : end].partition(",")
        if not _is_count(low) or not (high == "" or _is_count(high)):
            return ""
        if int(low or 0) > MAX_COUNT or int(high or 0) > MAX_COUNT:
            raise PatternRefused(f"it repeats more than {MAX_COUNT} times")
        if high and int(low) > int(high):
            raise PatternRefused("the numbers of a repetition are out of order")
        self._at = end + 1
        return f"{{{low}{comma}{high}}}"

    def _escape(self) -> str:
        """An escape outside of brackets."""
        kind = self._peek_or_refuse()
        if kind in _NARROW:
            self._at += 1
            return f"[{_NARROW[kind]}]"
        if kind in "pP":
            return _without_nul(self._property())
        return _literal(self._escaped_character())

    def _class(self) -> str:
        negated = self._taken("^")
        shorthands = _WIDE if negated else _NARROW
        items: list[str] = []
        while not self._taken("]"):
            items.append(self._class_item(shorthands))
        if not items:
            if negated:
                return "(?s:.)"
            raise PatternRefused("an empty class matches nothing")
        return f"[^{_NUL}{''.join(items)}]" if negated else f"[{''.join(items)}]"

    def _class_item(self, shorthands: Mapping[str, str]) -> str:
        first = self._class_atom(shorthands)
        if not (self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at)):
            return first if len(first) > 1 else _literal(first)
        self._at += 1
        last = self._class_atom(shorthands)
        if len(first) > 1 or len(last) > 1 or first > last:
            raise PatternRefused("a range of characters is out of order")
        if first < last:
            first = max(first, "\x01")
        return f"{_literal(first)}-{_literal(last)}"

    def _class_atom(self, shorthands: Mapping[str, str]) -> str:
        """One character as it is, or something longer that stands for several."""
        character = self._next()
        if character != "\\":
            return character
        kind = self._peek_or_refuse()
        if kind in shorthands:
            self._at += 1
            return f"[{shorthands[kind]}]"
        if kind in "pP":
            return self._property() if shorthands is _WIDE else _without_nul(self._property())
        if kind == "b":
            self._at += 1
            return "\b"
        return self._escaped_character()

    def _property(self) -> str:
        end = self._text.find("}", self._at)
        name = self._text[self._at + 2 : end]
        if (
            not self._text.startswith("{", self._at + 1)
            or not name.replace("_", "").replace("=", "").isalnum()
        ):
            raise PatternRefused("a Unicode property has no name")
        start, self._at = self._at, end + 1
        return "\\" + self._text[start : self._at]

    def _escaped_character(self) -> str:
        kind = self._next()
        if kind in _CONTROLS:
            return _CONTROLS[kind]
        if kind == "x":
            return chr(self._hexadecimal(2))
        if kind == "u":
            return self._unicode()
        if kind == "c" and not self.at_end and self._peek().isascii() and self._peek().isalpha():
            return chr(ord(self._next()) % 32)
        if kind.isalnum():
            raise PatternRefused(f"the escape '\\{kind}' is not held")
        return kind

    def _unicode(self) -> str:
        if self._taken("{"):
            end = self._text.find("}", self._at)
            code = self._hexadecimal(max(end - self._at, 0))
            self._at += 1
        else:
            code = self._hexadecimal(4)
            if 0xD800 <= code < 0xDC00 and self._taken("\\u"):
                code = 0x10000 + (code - 0xD800) * 0x400 + (self._hexadecimal(4) - 0xDC00)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise PatternRefused("an escape stands for no character")
        return chr(code)

    def _hexadecimal(self, digits: int) -> int:
        text = self._text[self._at : self._at + digits]
        if len(text) != digits or not text or any(digit not in "0123456789abcdefABCDEF" for digit in text):
            raise PatternRefused("an escape has no hexadecimal digits")
        self._at += digits
        return int(text, 16)

    def _peek(self) -> str:
        return self._text[self._at]

    def _peek_or_refuse(self) -> str:
        if self.at_end:
            raise PatternRefused("it ends too early")
        return self._peek()

    def _next(self) -> str:
        character = self._peek_or_refuse()
        self._at += 1
        return character

    def _taken(self, expected: str) -> bool:
        taken = self._text.startswith(expected, self._at)
        self._at += len(expected) if taken else 0
        return taken


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 9


def _without_nul(characters: str) -> str:
    return f"[{characters}&&[^{_NUL}]]"


def _literal(character: str) -> str:
    """A character that means itself, inside of brackets and outside."""
    if character.isascii() and not character.isalnum() and character not in "_ ":
        return f"\\x{ord(character):02X}"
    return character
