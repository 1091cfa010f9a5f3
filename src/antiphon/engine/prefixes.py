"""The prefix cache: what of a sequence is in pages already, and what its pages will serve for.

A sequence begins with the pages of its prompt that are known, then with a copy of one that goes on
alike, and after a preemption with those of its own pages that nobody took. It schedules nothing.

Invariant: what is found was computed as the sequence itself would have computed it, and leaves at
least two tokens of a prompt, or one generated token, to compute; and every token of a prompt whose
logits are still to be read.
"""

from collections.abc import Iterable, Iterator

from antiphon.engine.beginnings import Follower, PageBeginnings
from antiphon.engine.pages import PageCopy, PagePool, generated_names
from antiphon.engine.sequence import SequenceState


class PrefixCache:
    """Finds and names the pages of sequences in one pool."""

    def __init__(self, pool: PagePool, page_tokens: int) -> None:
        self._pool = pool
        self._page_tokens = page_tokens
        self._beginnings = PageBeginnings()

    def held(self, sequence: SequenceState) -> int:
        """Pages it could begin with that somebody holds: sharing them costs none."""
        return self._pool.held_run(self._names(sequence))

    def is_coming(self, sequence: SequenceState, running: Iterable[SequenceState]) -> bool:
        """Whether a running prefill is about to publish the first page this one would compute."""
        names = self._names(sequence)
        missing = next((i for i, name in enumerate(names) if not self._pool.knows(name)), None)
        if missing is None:
            return False
        return any(
            other.in_prompt
            and len(other.request.page_names) > missing
            and other.request.page_names[missing] == names[missing]
            for other in running
        )

    def attach(self, sequence: SequenceState) -> list[PageCopy]:
        """Give a sequence without pages those it can begin with; says what must be copied for it."""
        sequence.pages = self._pool.find(self._names(sequence))
        if sequence.pages and len(sequence.pages) * self._page_tokens == sequence.prompt_len - 1:
            self._pool.release(sequence.pages.pop())  # else a lone token of the prompt would be left
        sequence.computed = len(sequence.pages) * self._page_tokens
        return list(self._borrow_beginning(sequence)) if sequence.in_prompt else []

    def publish(self, sequence: SequenceState, start: int) -> None:
        """Let others find the pages of its prompt that were filled from position `start` on."""
        request, size = sequence.request, self._page_tokens
        full = min(sequence.computed // size, len(request.page_names))
        for index in range(start // size, full):
            name = request.page_names[index]
            self._pool.publish(sequence.pages[index], name)
            tokens = request.spec.prompt[index * size : (index + 1) * size]
            self._beginnings.note(request.name_before(index), Follower(name, tokens))

    def keep(self, sequence: SequenceState) -> None:
        """Name the pages behind its prompt, so that it can resume from those that nobody needs meanwhile."""
        if sequence.in_prompt:
            return
        names, salt = sequence.request.page_names, sequence.request.spec.cache_salt
        known = sequence.tokens[: sequence.computed]
        kept = generated_names(names, known, sequence.prompt_len, self._page_tokens, salt)
        for page, name in zip(sequence.pages[len(names) :], kept, strict=False):
            self._pool.publish(page, name)
        # While it catches up it may be preempted again: pages from before may still be there.
        sequence.kept_names = max(kept, sequence.kept_names, key=len)

    def _names(self, sequence: SequenceState) -> list[bytes]:
        names = [*sequence.request.page_names, *sequence.kept_names]
        return names[: sequence.reusable // self._page_tokens]

    def _borrow_beginning(self, sequence: SequenceState) -> Iterator[PageCopy]:
        """Begin the next page with a copy of one that goes on alike, if that saves a quarter of it."""
        start = sequence.computed
        rest = sequence.request.spec.prompt[
            start : max(start, min(sequence.prompt_len - 2, sequence.reusable))
        ]
        before = sequence.request.name_before(len(sequence.pages))
        for alike, name in self._beginnings.after(before, rest):
            if alike < max(1, self._page_tokens // 4):
                return
            for source in self._pool.find([name]):
                # Nobody need hold it: what it contains lasts until the plan is computed.
                self._pool.release(source)
                if self._pool.available:
                    sequence.pages.append(self._pool.take())
                    sequence.computed += alike
                    yield PageCopy(source, sequence.pages[-1])
                return
