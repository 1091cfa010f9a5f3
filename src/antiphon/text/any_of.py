"""A regular expression for any of many fixed texts, whose work does not grow with their number.

Python tries the branches of an alternation one after the other, at every place. Vocabularies have
thousands of control tokens (`<unused0>` … `<unused6241>` in Gemma's), so texts that begin alike share
their beginning here.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

_MOST_SHARED: Final = 64
"""Characters. Longer texts are branches of their own, so that no file can nest patterns deeply."""

_Trie = dict[str, Any]


def any_of(texts: Iterable[str]) -> str:
    """A pattern without groups that matches any of `texts`, the longest where several begin together."""
    trie: _Trie = {}
    long = []
    for text in texts:
        if len(text) > _MOST_SHARED:
            long.append(text)
            continue
        node = trie
        for character in text:
            node = node.setdefault(character, {})
        node[""] = {}
    branches = [*map(re.escape, sorted(long, key=len, reverse=True)), *([_pattern(trie)] if trie else [])]
    return f"(?:{'|'.join(branches)})" if branches else r"(?!)"


def _pattern(node: _Trie) -> str:
    branches = [re.escape(character) + _pattern(rest) for character, rest in node.items() if character]
    if not branches:
        return ""
    ends = "" in node
    return (
        branches[0] if len(branches) == 1 and not ends else f"(?:{'|'.join(branches)}){'?' if ends else ''}"
    )
