"""What to run next: turns requests into steps of mixed decode tokens and prefill chunks.

It owns sequences and pages and decides admission, chunking, forking and preemption. It has no
thread and no clock, runs no model and draws no token: `plan` is told the time and says what a step
computes, the caller computes it and reports each drawn token with `advance` or an end with `end`.

Invariants:
- A prompt is only ever computed by chunks of at least two tokens, and each generated token by itself,
  several of a sequence in one step or not: the KV of a position is then bit-equal however the work
  was divided (see docs/decisions/0003).
- Only pages filled by prefill are shared, for the same reason.
- Pages always add up; a sequence that is not running holds none.
- The oldest running sequence is never preempted for another, so everything ends.
"""

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from antiphon.core.generation import GenerationRequest
from antiphon.engine.drafts import DraftTerms
from antiphon.engine.pacing import PacingOptions, PrefillPacer
from antiphon.engine.pages import PageCopy, PagePool, prefix_names
from antiphon.engine.prefixes import PrefixCache
from antiphon.engine.sequence import RunningRequest, SequenceState, State


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """Bounds of a step."""

    max_running: int = 64
    """Sequences that hold pages at once."""
    max_waiting: int = 1024
    """Requests that wait for their first page; more are refused."""
    overtaking: int = 256
    """A priority is worth having come so many requests earlier; so nobody waits for ever."""
    headroom_tokens: int = 256
    """Room kept for what each running sequence is about to generate, so that few get preempted."""
    patience_s: float = 2.0
    """A preempted stream that was silent for so long goes on in the place of others."""
    least_run_s: float = 1.0
    """Those must have spoken for so long."""
    scored_tokens: int = 64
    """Prompt tokens of a step whose logits are read: each costs a row as wide as the vocabulary."""
    draft_tokens: int = 7
    """Tokens of a sequence that are guessed in a step at the most; 0: none."""
    least_tokens: int = 1
    """A step of fewer takes as long."""
    pacing: PacingOptions = field(default_factory=PacingOptions)


@dataclass(frozen=True, slots=True)
class PlannedSlice:
    """Compute `count` tokens of `sequence` from position `start`: prompt as one chunk, or generated ones."""

    sequence: SequenceState
    start: int
    count: int
    drafted: tuple[int, ...] = ()
    """What may follow these, computed and read in the same step."""

    @property
    def generated(self) -> bool:
        """Whether its tokens were generated, so that each is computed by itself."""
        return self.start >= self.sequence.prompt_len

    @property
    def draws(self) -> bool:
        """Whether it reaches the sequence's end, so that a next token can be drawn."""
        return self.start + self.count == len(self.sequence.tokens)

    @property
    def rows(self) -> int:
        """Behind how many of its last tokens the logits are needed."""
        request = self.sequence.request
        if self.generated or not request.scoring:
            return int(self.draws) + len(self.drafted)
        return max(0, self.start + self.count - request.scored)


@dataclass(slots=True)
class SchedulerCounters:
    """Totals since the start."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    forced_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    """Of these, the ones that were then drawn."""
    preemptions: int = 0
    begun: int = 0
    """Requests that had their first step."""
    queued_s: float = 0.0
    """How long these waited for it, in total; told by the loop, which has the clock."""


class QueueFull(Exception):
    """No room for another waiting request."""


@dataclass(slots=True)
class Scheduler:
    """Sequences waiting and running over one pool of pages."""

    pool: PagePool
    page_tokens: int
    options: SchedulerOptions = SchedulerOptions()
    counters: SchedulerCounters = field(default_factory=SchedulerCounters)
    requests: dict[str, RunningRequest] = field(default_factory=dict)
    waiting: list[SequenceState] = field(default_factory=list)
    """In order of their turns."""
    running: list[SequenceState] = field(default_factory=list)
    """In order of their turns."""
    copies: list[PageCopy] = field(default_factory=list)
    """What `plan` wants copied, in this order, before its slices are computed; the caller empties it."""
    _arrivals: int = 0
    _now: float = 0.0
    _prefixes: PrefixCache = field(init=False)
    pacer: PrefillPacer = field(init=False)

    def __post_init__(self) -> None:
        """Nothing has been timed yet, nothing is known."""
        self._prefixes = PrefixCache(self.pool, self.page_tokens)
        self.pacer = PrefillPacer(self.options.pacing)

    def add(self, spec: GenerationRequest) -> RunningRequest:
        """Queue a request.

        Raises:
            QueueFull: too many wait already.
        """
        if len(self.waiting) >= self.options.max_waiting:
            raise QueueFull
        self._arrivals += 1
        names = prefix_names(spec.prompt, self.page_tokens, spec.cache_salt)
        turn = self._arrivals - spec.priority * self.options.overtaking
        request = RunningRequest(spec, turn, names)
        request.sequences = [SequenceState(request, i, list(spec.prompt)) for i in range(spec.choices)]
        self.requests[request.key] = request
        insort(self.waiting, request.sequences[0], key=_order)
        return request

    def plan(self, now: float = 0.0) -> list[PlannedSlice]:
        """The next step, its pages already held: every decoding sequence, then those that are behind.

        `now` is in seconds. Empty when there is nothing to do. Where pages run out the newest
        sequence that has spoken for a while is preempted, and waits for room or its turn.
        A sequence has two slices, in order, where its prompt ends and generated tokens follow.
        """
        self._now = now
        self._start_waiting()
        self._rotate()
        decoding = [s for s in self.running if not s.behind]
        budget = self.pacer.prompt_tokens(len(decoding), _longest_prompt(self.running))
        least = min(budget, self.options.pacing.least)
        price, drafts = self.pacer.draft_price(len(decoding)), self.options.draft_tokens
        idle = self.options.least_tokens - len(decoding) if len(decoding) == len(self.running) else 0
        terms = DraftTerms(drafts, price, free=idle)
        slices = []
        for sequence in decoding:
            # More than one where a constraint has forced some.
            count = min(sequence.uncomputed, 1 + budget)
            if self._hold_pages(sequence, sequence.computed + count):
                drafted = self._draft(sequence, terms) if terms.worthwhile else ()
                slices.append(PlannedSlice(sequence, sequence.computed, count, drafted))
                budget -= count - 1
        slices += self._plan_behind(max(budget, least))
        # One that is older than another planned before it may have taken that one's pages.
        return [s for s in slices if s.sequence.state is State.RUNNING]

    def computed(self, planned: PlannedSlice) -> None:
        """The slice's KV is in its pages now; full pages of the prompt become findable."""
        sequence, was_behind = planned.sequence, planned.sequence.behind
        sequence.computed = planned.start + planned.count
        if was_behind and not sequence.behind:
            sequence.since = self._now
        self._prefixes.publish(sequence, planned.start)

    def accepted(self, planned: PlannedSlice, count: int) -> None:
        """So many of the drafted tokens were drawn: their KV is that of the sequence."""
        planned.sequence.computed += count
        self.counters.drafted_tokens += len(planned.drafted)
        self.counters.accepted_tokens += count

    def fork(self, request: RunningRequest) -> list[PageCopy]:
        """Start the other choices of a request whose first sequence has just finished the prompt.

        They share its full pages and get copies of the last, partly filled one. A choice for which
        there is no room waits and computes the prompt itself, from shared pages where it can.
        """
        if request.prefilled:
            return []
        request.prefilled = True
        first = request.sequences[0]
        copies = []
        for sequence in request.sequences[1:]:
            if sequence.state is State.ENDED:
                continue
            if self.pool.available == 0 or len(self.running) >= self.options.max_running:
                self._enter(State.WAITING, sequence)
                continue
            copies += self._share_prompt(first, sequence)
        return copies

    def advance(self, sequence: SequenceState, token: int) -> None:
        """A token was drawn for this sequence."""
        sequence.append(token)
        self.counters.generated_tokens += 1

    def end(self, sequence: SequenceState) -> None:
        """Take a sequence out, wherever it is, and free its pages. Idempotent."""
        if sequence.state is State.RUNNING:
            self.running.remove(sequence)
            _release(self.pool, sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        sequence.state = State.ENDED
        request = sequence.request
        if request.ended:
            self.requests.pop(request.key, None)
        elif sequence.choice == 0 and not request.prefilled:
            self._hand_over_prefill(request)

    def cancel(self, key: str) -> None:
        """Take a whole request out. Unknown keys are ignored: it may have just ended."""
        request = self.requests.get(key)
        for sequence in reversed(request.sequences if request else []):
            self.end(sequence)

    def _hand_over_prefill(self, request: RunningRequest) -> None:
        """The choice that was to prefill is gone: the remaining ones prefill for themselves."""
        request.prefilled = True
        for sequence in request.sequences:
            if sequence.state is State.WAITING:
                self._enter(State.WAITING, sequence)

    def _start_waiting(self) -> None:
        """Start sequences in order of their turns while pages and places last."""
        for sequence in list(self.waiting):
            if len(self.running) >= self.options.max_running or not self._fits(sequence):
                return
            if self._prefixes.is_coming(sequence, self.running):
                continue
            self._start(sequence)

    def _start(self, sequence: SequenceState) -> None:
        self.waiting.remove(sequence)
        self.copies += self._prefixes.attach(sequence)
        if sequence.request.cached_tokens is None:
            sequence.request.cached_tokens = sequence.computed
            self.counters.prompt_tokens += sequence.prompt_len
            self.counters.cached_tokens += sequence.computed
        self._enter(State.RUNNING, sequence)

    def _rotate(self) -> None:
        """Where pages are too few for all that have begun to speak, let them take turns.

        The one that was silent longest gets the pages of those that have spoken longest.
        """
        patience = self.options.patience_s
        silent = [s for s in self.waiting if s.generated and self._now - s.since >= patience]
        if not silent:
            return
        sequence = min(silent, key=lambda s: (s.since, s.order))
        needed = _pages_for(len(sequence.tokens) + 1, self.page_tokens)
        spoken = sorted(self._preemptible(), key=lambda s: (s.since, s.order))
        if not spoken or needed > self.pool.available + sum(len(s.pages) for s in spoken):
            return
        while spoken and (needed > self.pool.available or len(self.running) >= self.options.max_running):
            self._preempt(spoken.pop(0))
        if needed <= self.pool.available:
            self._start(sequence)

    def _preemptible(self) -> list[SequenceState]:
        """Sequences that may give way to others, in order of their turns: not the oldest."""
        least = self.options.least_run_s
        return [s for s in self.running[1:] if not s.behind and self._now - s.since >= least]

    def _enter(self, state: State, sequence: SequenceState) -> None:
        """Take its place, by its turn, among those that run or wait."""
        sequence.state, sequence.since = state, self._now
        insort(self.running if state is State.RUNNING else self.waiting, sequence, key=_order)

    def _fits(self, sequence: SequenceState) -> bool:
        """Whether all it has can be computed, and it and everybody running can go on for a while."""
        if not self.running:
            return True
        headroom, size = self.options.headroom_tokens, self.page_tokens
        wanted = _pages_for(sequence.expected_tokens(headroom), size) - self._prefixes.held(sequence)
        expected = [(_pages_for(s.expected_tokens(headroom), size), s) for s in self.running]
        pledged = sum(max(0, pages - len(s.pages)) for pages, s in expected)
        return wanted + pledged <= self.pool.available

    def _plan_behind(self, budget: int) -> Iterator[PlannedSlice]:
        """Share `budget` tokens: the shortest rest gets up to half, the others what is left."""
        behind = [s for s in self.running if s.behind]
        shortest = min(behind, key=lambda s: (s.uncomputed, s.order), default=None)
        shares = [(s, budget) for s in behind]
        if shortest is not None and shortest is not behind[0]:
            shares.remove((shortest, budget))
            shares.insert(0, (shortest, budget // 2))
        scored = self.options.scored_tokens
        for sequence, share in shares:
            share = min(share, budget, scored) if sequence.request.scoring else min(share, budget)
            if share < 2:
                continue
            for planned in _parts(sequence, share):
                if self._hold_pages(sequence, planned.start + planned.count):
                    budget -= planned.count
                    scored -= planned.count if sequence.request.scoring else 0
                    yield planned

    def _hold_pages(self, sequence: SequenceState, tokens: int) -> bool:
        """Give the sequence pages for its first `tokens` tokens, preempting others, or itself, for them."""
        while sequence.state is State.RUNNING and len(sequence.pages) < _pages_for(tokens, self.page_tokens):
            if self.pool.available:
                sequence.pages.append(self.pool.take())
            else:
                self._preempt((self._preemptible() or self.running)[-1])
        return sequence.state is State.RUNNING

    def _draft(self, sequence: SequenceState, terms: DraftTerms) -> tuple[int, ...]:
        """Guess what the sequence says next, where that is worth its price and there is room for it."""
        most = min(terms.most, sequence.unspoken - 1)
        if sequence.uncomputed > 1 or most <= 0:
            return ()
        drafted = sequence.drafter.propose(replace(terms, most=most))
        missing = _pages_for(len(sequence.tokens) + len(drafted), self.page_tokens) - len(sequence.pages)
        if missing > self.pool.available:
            return ()
        sequence.pages += [self.pool.take() for _ in range(missing)]
        return drafted

    def _preempt(self, sequence: SequenceState) -> None:
        """Give a sequence's pages up; it waits at its old place and computes again what is not found then."""
        self.running.remove(sequence)
        self._prefixes.keep(sequence)
        _release(self.pool, sequence)
        sequence.lost, sequence.computed = max(sequence.lost, sequence.computed), 0
        self._enter(State.WAITING, sequence)
        self.counters.preemptions += 1

    def _share_prompt(self, first: SequenceState, sequence: SequenceState) -> list[PageCopy]:
        full = first.prompt_len // self.page_tokens
        sequence.pages = first.pages[:full]
        for page in sequence.pages:
            self.pool.share(page)
        sequence.computed = first.prompt_len
        self._enter(State.RUNNING, sequence)
        if full == _pages_for(first.prompt_len, self.page_tokens):
            return []
        sequence.pages.append(self.pool.take())
        return [PageCopy(first.pages[full], sequence.pages[full])]


def _release(pool: PagePool, sequence: SequenceState) -> None:
    """Let go of the pages, last first, so that a prefix outlives what builds on it."""
    for page in reversed(sequence.pages):
        pool.release(page)
    sequence.pages = []


def _longest_prompt(running: Iterable[SequenceState]) -> int:
    """Tokens of the longest prompt that is being computed, but for those that were found."""
    behind = (s for s in running if s.behind)
    return max((len(s.tokens) - (s.request.cached_tokens or 0) for s in behind), default=0)


def _pages_for(tokens: int, page_tokens: int) -> int:
    return -(-tokens // page_tokens)


def _order(sequence: SequenceState) -> tuple[int, int]:
    return sequence.order


def _parts(sequence: SequenceState, budget: int) -> Iterator[PlannedSlice]:
    """What is next of its prompt and, when that completes it, of what it has generated."""
    start, rest = sequence.computed, sequence.prompt_len - sequence.computed
    if rest > 0:
        count = _chunk_tokens(rest, budget)
        yield PlannedSlice(sequence, start, count)
        if count < rest:
            return
        start, budget = start + count, budget - count
    count = min(len(sequence.tokens) - start, budget)
    if count > 0:
        yield PlannedSlice(sequence, start, count)


def _chunk_tokens(rest: int, budget: int) -> int:
    """Prompt tokens to compute next; never a lone token, nor so many that a lone one is left."""
    count = min(max(budget, 2), rest)
    return count + 1 if rest - count == 1 else count
