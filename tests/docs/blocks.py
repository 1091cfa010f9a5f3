"""The code blocks of the documents: where they stand, and what they say."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROSE = frozenset({"", "{toctree}"})
"""What stands in a block without being code: pictures made of letters, and the site's own directives."""


@dataclass(frozen=True)
class Block:
    """A block of code, as it stands in its page."""

    page: str
    language: str
    text: str


def pages() -> list[str]:
    """Every page with code in it that a reader may paste."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    names = sorted(path.relative_to(ROOT).as_posix() for path in paths)
    return [name for name in names if blocks(name)]


def blocks(page: str) -> list[Block]:
    """The code of a page, in order."""
    return list(_blocks(page))


def pictures(page: str) -> list[str]:
    """What stands in blocks of a page without being code."""
    return [text for language, text in _fences(page) if not language]


def _blocks(page: str) -> Iterator[Block]:
    for language, text in _fences(page):
        if language not in _PROSE:
            yield Block(page, language, text)


def _fences(page: str) -> list[tuple[str, str]]:
    return _FENCE.findall((ROOT / page).read_text(encoding="utf-8"))
