r"""A JSON text that is being written, and what must not be written next for all clients to read the same.

Where names are free, a grammar can neither keep an object from having one name twice nor from
spelling a described name in escapes, `"\u0061"` for `"a"`, and so giving it another schema. This
machine reads along: it takes names as they are once unescaped, and refuses those that are there
already, and escapes that nothing asks for. Where values are free, a grammar also writes numbers beyond
all doubles, which clients read as infinity or not at all: those are refused, too. And it counts how
deep values are nested, for readers of JSON give up somewhere.

The JSON stands behind texts that are known: the beginning, the head of a call. What is around it is
passed over.

Invariant: how a text is divided changes nothing; no object of a text that was let through has one
name twice, no number of it is infinite.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Final, Self

_STRING: Final = re.compile(rb'(?:[^"\\]+|\\.)*', re.DOTALL)
"""A string up to its closing quote, or to the last byte that is certainly part of it."""
_STRUCTURE: Final = re.compile(rb'["{}\[\],]')
_SPACE: Final = re.compile(rb"[ \n\r\t]*")
_CODE: Final = rb"\\u00(?:[01][0-9A-Fa-f]|7[Ff])"
_SPELLED: Final = re.compile(rb"(?:[^\\]|\\[^u/]|" + _CODE + rb")*(?:\\|\\u0{0,2}|\\u00[017])?", re.DOTALL)
"""A name, or the beginning of one, in which escapes stand only for what has to be escaped."""
_WHOLE: Final = re.compile(rb"(?:[^\\]|\\[^u]|\\u[0-9A-Fa-f]{4})*", re.DOTALL)
"""A beginning of a name without the escape that is not complete."""

_NUMBER: Final = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
"""A number, or a beginning of one that is a number."""
_DIGITS: Final = frozenset(bytes([each]) for each in b"-0123456789")
_NUMERIC: Final = re.compile(rb"[-+.0-9eE]*")
_FINITE: Final = 308
"""So many digits are a finite number, if no exponent is behind them."""
MAX_DEPTH: Final = 256
"""Values within values that the readers of common clients still take."""

_Level = tuple[frozenset[str] | None, "_Level | None"]
"""An open object's names, or None for an array; and what it is in."""


class PlainJson:
    """Reads one text. Copies are cheap and independent."""

    __slots__ = ("_depth", "_expects", "_heads", "_level", "_naming", "_plain", "_string", "_tail", "_waits")

    def __init__(self, behind: Iterable[str]) -> None:
        """JSON values stand behind these texts; the empty one is the beginning."""
        heads = tuple(behind)
        self._heads = tuple(head.encode() for head in heads if head)
        self._waits = "" in heads
        """Whether a value begins here, if anything does."""
        self._tail = b""
        """The end of what is no JSON, long enough to find a head."""
        self._level: _Level | None = None
        self._depth = 0
        """How many levels are open."""
        self._plain = b""
        """What has been written of a number, a boolean or null."""
        self._expects = False
        """Whether a string that begins here is a name."""
        self._naming = False
        """Whether the open string is one."""
        self._string: bytes | None = None
        """The open string: all of a name, of others an escape that is not complete."""

    def after(self, text: bytes) -> Self | None:
        """Where the text stands behind these bytes; None: they must not follow."""
        copied = self.__class__.__new__(self.__class__)
        for slot in self.__slots__:
            setattr(copied, slot, getattr(self, slot))
        return copied if copied._read(text) else None

    @property
    def too_deep(self) -> bool:
        """Whether more objects and arrays are open than clients can be expected to read."""
        return self._depth > MAX_DEPTH

    @property
    def at_risk(self) -> bool:
        """Whether what is being written may become a name that is there already."""
        used = self._level[0] if self._level else None
        if not used or not (self._expects or self._naming):
            return False
        begun = _begun(self._string) if self._naming and self._string is not None else ""
        return any(name.startswith(begun) for name in used)

    def _read(self, text: bytes) -> bool:
        at = 0
        while 0 <= at < len(text):
            if self._string is not None:
                at = self._read_string(self._string, text, at)
            elif self._level is not None:
                at = self._read_structure(text, at)
            elif self._waits:
                at = self._read_beginning(text, at)
            else:
                at = self._pass_over(text, at)
        return at >= 0

    def _pass_over(self, text: bytes, at: int) -> int:
        seen = self._tail + text[at:]
        ends = [place + len(head) for head in self._heads if (place := seen.find(head)) >= 0]
        if not ends:
            longest = max(map(len, self._heads), default=1)
            self._tail = seen[len(seen) - longest + 1 :] if longest <= len(seen) else seen
            return len(text)
        at += min(ends) - len(self._tail)
        self._waits, self._tail = True, b""
        return at

    def _read_beginning(self, text: bytes, at: int) -> int:
        space = _SPACE.match(text, at)
        at = space.end() if space and not self._plain else at
        if at == len(text):
            return at
        if self._plain or text[at : at + 1] in _DIGITS:
            return self._read_lone_number(text, at)
        self._waits = False
        if text[at : at + 1] in (b"{", b"[", b'"'):
            return self._structure(text[at : at + 1], at + 1)
        return self._pass_over(text, at)

    def _read_lone_number(self, text: bytes, at: int) -> int:
        """One that is all of the JSON."""
        found = _NUMERIC.match(text, at)
        end = found.end() if found else at
        self._plain += text[at:end]
        if not _is_finite(self._plain):
            return -1
        if end < len(text):
            self._waits, self._plain = False, b""
        return end

    def _read_structure(self, text: bytes, at: int) -> int:
        found = _STRUCTURE.search(text, at)
        end = found.start() if found else len(text)
        self._plain += text[at:end].lstrip(b": \n\r\t")
        if not _is_finite(self._plain):
            return -1
        return self._structure(found[0], found.end()) if found else end

    def _structure(self, sign: bytes, behind: int) -> int:
        self._plain = b""
        match sign:
            case b'"':
                self._string, self._naming = b"", self._expects
            case b"{":
                self._level, self._expects = (frozenset(), self._level), True
                self._depth += 1
            case b"[":
                self._level, self._expects = (None, self._level), False
                self._depth += 1
            case b",":
                self._expects = self._level is not None and self._level[0] is not None
            case _:
                self._level, self._expects = self._level[1] if self._level else None, False
                self._depth = max(0, self._depth - 1)
        return behind

    def _read_string(self, begun: bytes, text: bytes, at: int) -> int:
        """The place behind its end or the text's; -1: it must not go on so."""
        whole = begun + text[at:]
        found = _STRING.match(whole)
        end = found.end() if found else 0
        content = whole[:end] if whole[end : end + 1] == b'"' else whole
        if self._naming and b"\\" in content and not _SPELLED.fullmatch(content):
            return -1
        if end == len(whole) or whole[end : end + 1] != b'"':
            self._string = whole if self._naming else whole[end:]
            return len(text)
        at += end + 1 - len(begun)
        return at if self._close(content) else -1

    def _close(self, content: bytes) -> bool:
        naming, self._naming, self._string, self._expects = self._naming, False, None, False
        if not naming or self._level is None or self._level[0] is None:
            return True
        names, name = self._level[0], _unescaped(content)
        self._level = names | {name}, self._level[1]
        return name not in names


def _is_finite(text: bytes) -> bool:
    """Whether a text is no number, or one within doubles; it may be a beginning."""
    whole, _, _ = text.partition(b".")
    if len(whole) <= _FINITE and b"e" not in text and b"E" not in text:
        return True
    number = _NUMBER.match(text)
    return number is None or math.isfinite(float(number[0]))


def _unescaped(content: bytes) -> str:
    text = content.decode("utf-8", "surrogateescape")
    return str(json.loads(f'"{text}"', strict=False)) if "\\" in text else text


def _begun(content: bytes) -> str:
    """What a name certainly begins with, without half an escape or half a character."""
    found = _WHOLE.match(content)
    whole = content[: found.end()] if found else b""
    return _unescaped(whole.decode("utf-8", "ignore").encode())
