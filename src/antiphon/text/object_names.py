r"""The names in the objects of a JSON text that is being written, and what must not be written next.

Where names are free, a grammar can neither keep an object from having one name twice nor from
spelling a described name in escapes, `"\u0061"` for `"a"`, and so giving it another schema. This
machine reads along: it takes names as they are once unescaped, and refuses those that are there
already, and escapes that nothing asks for.

The JSON stands behind texts that are known: the beginning, the head of a call. What is around it is
passed over.

Invariant: how a text is divided changes nothing; no object of a text that was let through has one
name twice.
"""

import json
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

_Level = tuple[frozenset[str] | None, "_Level | None"]
"""An open object's names, or None for an array; and what it is in."""


class ObjectNames:
    """Reads one text. Copies are cheap and independent."""

    __slots__ = ("_expects", "_heads", "_level", "_naming", "_string", "_tail", "_waits")

    def __init__(self, behind: Iterable[str]) -> None:
        """JSON values stand behind these texts; the empty one is the beginning."""
        heads = tuple(behind)
        self._heads = tuple(head.encode() for head in heads if head)
        self._waits = "" in heads
        """Whether a value begins here, if anything does."""
        self._tail = b""
        """The end of what is no JSON, long enough to find a head."""
        self._level: _Level | None = None
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
        at = space.end() if space else at
        if at == len(text):
            return at
        self._waits = False
        if text[at : at + 1] in (b"{", b"[", b'"'):
            return self._structure(text[at : at + 1], at + 1)
        return self._pass_over(text, at)

    def _read_structure(self, text: bytes, at: int) -> int:
        found = _STRUCTURE.search(text, at)
        return self._structure(found[0], found.end()) if found else len(text)

    def _structure(self, sign: bytes, behind: int) -> int:
        match sign:
            case b'"':
                self._string, self._naming = b"", self._expects
            case b"{":
                self._level, self._expects = (frozenset(), self._level), True
            case b"[":
                self._level, self._expects = (None, self._level), False
            case b",":
                self._expects = self._level is not None and self._level[0] is not None
            case _:
                self._level, self._expects = self._level[1] if self._level else None, False
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


def _unescaped(content: bytes) -> str:
    text = content.decode("utf-8", "surrogateescape")
    return str(json.loads(f'"{text}"', strict=False)) if "\\" in text else text


def _begun(content: bytes) -> str:
    """What a name certainly begins with, without half an escape or half a character."""
    found = _WHOLE.match(content)
    whole = content[: found.end()] if found else b""
    return _unescaped(whole.decode("utf-8", "ignore").encode())
