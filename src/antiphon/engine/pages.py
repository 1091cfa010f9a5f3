"""Pages of the KV cache: who holds them, which prompts they can serve again.

A page is free, held by one or more sequences, or idle: held by nobody but still named by the prompt
prefix whose KV it contains. Names form a SHA-256 chain over the prompt's full pages, seeded with a
salt, so equal prefixes under equal salts share pages and nobody can find another salt's pages.
Pages with generated tokens are named when a preemption gives them up, for whoever resumes.

This module moves numbers about; it never touches KV data.

Invariant: free + idle + held == page_count, and a page is named by at most one prefix.
"""

import hashlib
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile


def prefix_names(prompt: Sequence[int], page_tokens: int, salt: str, limit: int | None = None) -> list[bytes]:
    """Names of the prompt's full pages, first page first: each covers everything before it too.

    With a `limit`, of no more than so many.
    """
    return list(islice(_chain(hashlib.sha256(salt.encode()).digest(), prompt, page_tokens), limit))


def generated_names(
    prompt_names: Sequence[bytes], tokens: Sequence[int], prompt_len: int, page_tokens: int, salt: str
) -> list[bytes]:
    """Names of the full pages of `tokens` behind those of the prompt, from the one where generating began.

    Their KV depends on where that was, and so do the names: no prompt of the same tokens has them.
    """
    before = prompt_names[-1] if prompt_names else hashlib.sha256(salt.encode()).digest()
    began = hashlib.sha256(b"generated" + before + prompt_len.to_bytes(8, "little")).digest()
    return list(_chain(began, tokens[len(prompt_names) * page_tokens :], page_tokens))


def _chain(name: bytes, tokens: Sequence[int], page_tokens: int) -> Iterator[bytes]:
    for start in range(0, len(tokens) - page_tokens + 1, page_tokens):
        name = hashlib.sha256(name + array("i", tokens[start : start + page_tokens]).tobytes()).digest()
        yield name


@dataclass(frozen=True, slots=True)
class PageCopy:
    """Copy the KV of page `source` to page `target` before the next step."""

    source: int
    target: int


@dataclass(frozen=True, slots=True)
class PageCounts:
    """Where all pages are."""

    free: int
    idle: int
    held: int


class PagePool:
    """Reference counts and names of `page_count` pages."""

    def __init__(self, page_count: int) -> None:
        self._free = deque(range(page_count))
        self._holders = [0] * page_count
        self._name_of: dict[int, bytes] = {}
        self._page_of: dict[bytes, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()  # least recently used first

    @property
    def available(self) -> int:
        """Pages that `take` can give: free ones and idle ones, which lose their name."""
        return len(self._free) + len(self._idle)

    def counts(self) -> PageCounts:
        """Where all pages are now; asked for after every step, so nothing is counted."""
        free, idle = len(self._free), len(self._idle)
        return PageCounts(free, idle, len(self._holders) - free - idle)

    def take(self) -> int:
        """Hold a page with no meaningful content.

        Raises:
            IndexError: none is available.
        """
        page = self._free.popleft() if self._free else self._forget_oldest_idle()
        self._holders[page] = 1
        return page

    def share(self, page: int) -> None:
        """Hold a page that somebody holds already."""
        self._holders[page] += 1

    def release(self, page: int) -> None:
        """Let go of a held page; with its last holder a named page becomes idle, another free."""
        self._holders[page] -= 1
        if self._holders[page]:
            return
        if page in self._name_of:
            self._idle[page] = None
        else:
            self._free.append(page)

    def find(self, names: Sequence[bytes]) -> list[int]:
        """Hold and return the pages of the longest known run of `names` from its start."""
        pages = []
        for name in names:
            page = self._page_of.get(name)
            if page is None:
                break
            self._idle.pop(page, None)
            self._holders[page] += 1
            pages.append(page)
        return pages

    def publish(self, page: int, name: bytes) -> None:
        """Let later prompts find this page; a name that another page has already stays there."""
        if name not in self._page_of and page not in self._name_of:
            self._page_of[name] = page
            self._name_of[page] = name

    def held_run(self, names: Sequence[bytes]) -> int:
        """How many of `names`, from the start, are in pages that somebody holds: sharing those costs none."""
        pages = map(self._page_of.get, names)
        return sum(1 for _ in takewhile(lambda page: page is not None and self._holders[page] > 0, pages))

    def knows(self, name: bytes) -> bool:
        """Whether a page of this name can be found."""
        return name in self._page_of

    def _forget_oldest_idle(self) -> int:
        if not self._idle:
            raise IndexError("no page is available")
        page, _ = self._idle.popitem(last=False)
        del self._page_of[self._name_of.pop(page)]
        return page
