"""The step: plan, run the model, draw, report. Everything between the scheduler and the backend.

Synchronous, with a clock that is handed in; `host` calls it in a process of its own. Matchers arrive
compiled.

Invariant: an exception that belongs to one request ends that request alone; every request accepted
by `submit` gets, per choice, exactly one end, or one failure, or is cancelled.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from antiphon.core.generation import EndReason, GenerationRequest, TokenDelta, TokenLogprob
from antiphon.engine import sampler
from antiphon.engine.backend import Backend, Logits, Slice
from antiphon.engine.constraint import Matcher
from antiphon.engine.masks import MasksAhead
from antiphon.engine.phases import PhaseRecorder
from antiphon.engine.scheduler import PlannedSlice, Scheduler
from antiphon.engine.sequence import RunningRequest, SequenceState, State
from antiphon.engine.way_out import WaysOut

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Emitted:
    """What a step brought one choice: scores of the prompt, or tokens, an end, or both."""

    key: str
    choice: int
    delta: TokenDelta | None = None
    end: EndReason | None = None
    cached_tokens: int = 0
    """Prompt tokens of the request that came from the prefix cache."""
    prompt_scores: tuple[TokenLogprob, ...] = ()
    """The next tokens of the prompt, which all choices have in common."""


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """The request ended without a result, through no fault of the others."""

    key: str


Outcome = Emitted | RequestFailed


@dataclass(slots=True)
class LoopTimes:
    """Seconds spent since the start, by what they were spent on."""

    forward: float = 0.0
    sampling: float = 0.0
    masks: float = 0.0


class EngineLoop:
    """Runs the scheduler's plans on a backend."""

    def __init__(
        self,
        backend: Backend,
        scheduler: Scheduler,
        eos_token_ids: tuple[int, ...],
        clock: Callable[[], float],
        *,
        jump_forward: bool = True,
        phases: PhaseRecorder | None = None,
    ) -> None:
        """`clock` gives seconds; it times steps for pacing and statistics and decides nothing else.

        With `jump_forward`, tokens that a constraint leaves no choice about are taken at once and
        computed together, instead of being drawn in a step each. The answers are the same.
        `phases` is told what traced requests go through.
        """
        self._clock = clock
        self._backend = backend
        self._scheduler = scheduler
        self._eos = frozenset(eos_token_ids)
        self._jump_forward = jump_forward
        self._matchers: dict[SequenceState, Matcher] = {}
        self._ways_out = WaysOut()
        self._phases = phases or PhaseRecorder()
        self._masks = MasksAhead()
        self.times = LoopTimes()

    @property
    def active(self) -> bool:
        """Whether there is anything to step for."""
        return bool(self._scheduler.requests)

    def submit(self, spec: GenerationRequest, matchers: list[Matcher]) -> None:
        """Accept a request; `matchers` is empty or has one for each choice.

        Raises:
            QueueFull: too many wait already.
        """
        request = self._scheduler.add(spec)
        request.came_at = self._clock()
        self._phases.enter(spec, "queue")
        for sequence, matcher in zip(request.sequences, matchers, strict=bool(matchers)):
            self._matchers[sequence] = matcher
            if spec.budget_hint:
                self._ways_out.begin(sequence, matcher)

    def stop(self, key: str, choice: int) -> None:
        """End one choice quietly. Unknown requests and choices are ignored: they may have ended."""
        request = self._scheduler.requests.get(key)
        if request is not None and choice < len(request.sequences):
            self._drop(request.sequences[choice])

    def cancel(self, key: str) -> None:
        """End a request quietly; unknown ones are ignored."""
        request = self._scheduler.requests.get(key)
        for sequence in request.sequences if request else []:
            self._matchers.pop(sequence, None)
            self._ways_out.forget(sequence)
        self._scheduler.cancel(key)
        self._phases.leave(key, "cancelled", request.generated if request else 0)

    def step(self) -> list[Outcome]:
        """Run one step of the model and draw what it allows."""
        plan = self._scheduler.plan(self._clock())
        for copy in self._scheduler.copies:
            self._backend.copy_page(copy.source, copy.target)
        self._scheduler.copies.clear()
        if not plan:
            return []
        self._note_begun(plan)
        wanted = [planned.rows for planned in plan]
        rows = self._run_beside_masks(plan)
        for planned in plan:
            self._scheduler.computed(planned)
        began, masks_before = self._clock(), self.times.masks
        outcomes: list[Outcome] = []
        for planned, own in zip(plan, _portions(rows, wanted), strict=True):
            outcomes += self._read_guarded(planned, own)
        self.times.sampling += self._clock() - began - (self.times.masks - masks_before)
        return outcomes

    def _note_begun(self, plan: list[PlannedSlice]) -> None:
        """Count how long the requests waited for which this is the first step."""
        now, counters = self._clock(), self._scheduler.counters
        for request in (planned.sequence.request for planned in plan):
            if not request.begun:
                request.begun = True
                self._phases.enter(request.spec, "prefill")
                counters.begun += 1
                counters.queued_s += now - request.came_at

    def _run_beside_masks(self, plan: list[PlannedSlice]) -> Logits:
        """Run the model, and find out meanwhile what the constraints of those that draw allow."""
        asked = [m for p in plan if p.draws and (m := self._matchers.get(p.sequence))]
        if not asked:
            return self._run(plan)
        self._masks.begin(asked)
        try:
            return self._run(plan)
        finally:
            self._timed(self._masks.finish)

    def _run(self, plan: list[PlannedSlice]) -> Logits:
        began = self._clock()
        rows = self._backend.forward([piece for p in plan for piece in _backend_slices(p)])
        decodes = sum(1 for p in plan if not p.sequence.behind)
        prompt_tokens = sum(p.count for p in plan) - decodes
        seconds = self._clock() - began
        self._scheduler.pacer.observe(decodes, prompt_tokens, seconds)
        self.times.forward += seconds
        return rows

    def _read_guarded(self, planned: PlannedSlice, rows: Logits) -> list[Outcome]:
        request = planned.sequence.request
        try:
            return list(self._read(planned, rows))
        except Exception:  # noqa: BLE001 - one request's fault must not end the others
            _log.exception("request %s failed in its step", request.key)
            self._phases.leave(request.key, "failed", request.generated)
            self.cancel(request.key)
            return [RequestFailed(request.key)]

    def _read(self, planned: PlannedSlice, rows: Logits) -> Iterator[Outcome]:
        """What the rows of a slice are wanted for: the prompt's scores, the next token, or both."""
        request = planned.sequence.request
        if request.scoring and len(rows) and not planned.generated:
            scores = tuple(_prompt_scores(planned, rows))
            self._scheduler.scored(planned)
            yield Emitted(request.key, planned.sequence.choice, prompt_scores=scores)
        if planned.draws:
            yield from self._draw_all(planned.sequence, rows[-1])

    def _draw_all(self, sequence: SequenceState, row: Logits) -> Iterator[Outcome]:
        """Draw for the sequence and, when it has just finished the prompt, for those forked from it."""
        request, drawing = sequence.request, [sequence]
        if not sequence.generated:
            self._phases.enter(request.spec, "decode", sequence.prompt_len, request.cached_tokens or 0)
        if not sequence.generated and sequence.choice == 0:
            drawing += self._fork(request)
        for each in drawing:
            yield self._draw(each, row)

    def _fork(self, request: RunningRequest) -> list[SequenceState]:
        if request.prefilled:
            return []
        for copy in self._scheduler.fork(request):
            self._backend.copy_page(copy.source, copy.target)
        forked = [s for s in request.sequences[1:] if s.state is State.RUNNING]
        for sequence in forked if request.spec.constraint else []:
            self._matchers[sequence].begin_like(self._matchers[request.sequences[0]])
        return forked

    def _draw(self, sequence: SequenceState, row: Logits) -> Emitted:
        spec, params = sequence.request.spec, sequence.request.spec.sampling
        if spec.max_tokens == 0:
            return self._end(sequence, "length", None)
        matcher = self._matchers.get(sequence)
        endings = self._ending_tokens(spec)
        token = self._pick(sequence, row, matcher, endings)
        if token in endings or (matcher and token in self._eos):
            return self._end(sequence, "stop", None)
        logprobs: tuple[TokenLogprob, ...] = ()
        if params.top_logprobs is not None:
            logprobs = (sampler.score(row, token, params.top_logprobs),)
        tokens, end = [token], self._take(sequence, token, matcher)
        if matcher and end is None:
            forced, end = self._jump(sequence, matcher, endings | self._eos)
            tokens += forced
        delta = TokenDelta(sequence.choice, tuple(tokens), logprobs)
        return self._end(sequence, end, delta) if end else _emitted(sequence, delta)

    def _pick(
        self, sequence: SequenceState, row: Logits, matcher: Matcher | None, endings: frozenset[int]
    ) -> int:
        """Draw the next token; again, and without it, where the constraint lets it not follow after all."""
        spec, params = sequence.request.spec, sequence.request.spec.sampling
        banned = endings if sequence.generated < spec.min_tokens else ()
        history = sampler.History(spec.prompt, sequence.counts)
        row = sampler.adjust(row, params, history, banned)
        attempt = 0
        while True:
            number = sampler.uniform(params.seed, sequence.choice, sequence.generated, attempt)
            if matcher is None:
                return sampler.draw(row, params, number)
            token = sampler.draw(row, params, number, self._timed(matcher.allowed))
            if token in endings:
                return token
            if self._timed(partial(matcher.may_follow, token)):
                return self._timed(partial(self._ways_out.fitting, sequence, token))
            attempt += 1

    def _take(self, sequence: SequenceState, token: int, matcher: Matcher | None) -> EndReason | None:
        """Append a token; says whether the choice is over with it."""
        self._scheduler.advance(sequence, token)
        if matcher:
            matcher.consume(token)
            self._ways_out.took(sequence, token)
            if matcher.finished:
                return "stop"
        return "length" if sequence.generated == sequence.request.spec.max_tokens else None

    def _jump(
        self, sequence: SequenceState, matcher: Matcher, endings: frozenset[int]
    ) -> tuple[list[int], EndReason | None]:
        """Take what the constraint forces now, as far as the choice goes.

        Not where logprobs are asked for: the model has not been asked about these tokens yet.
        """
        taken: list[int] = []
        if not self._jump_forward or sequence.request.spec.sampling.top_logprobs is not None:
            return taken, None
        for token in self._timed(matcher.forced):
            if token in endings:
                return taken, "stop"
            taken.append(token)
            self._scheduler.counters.forced_tokens += 1
            end = self._take(sequence, token, matcher)
            if end:
                return taken, end
        return taken, None

    def _timed(self, ask: Callable[[], _T]) -> _T:
        """What a matcher says, its time counted."""
        began = self._clock()
        answer = ask()
        self.times.masks += self._clock() - began
        return answer

    def _end(self, sequence: SequenceState, reason: EndReason, delta: TokenDelta | None) -> Emitted:
        self._drop(sequence)
        return _emitted(sequence, delta, reason)

    def _drop(self, sequence: SequenceState) -> None:
        self._matchers.pop(sequence, None)
        self._ways_out.forget(sequence)
        self._scheduler.end(sequence)
        request = sequence.request
        if request.ended:
            self._phases.leave(request.key, "finished", request.generated)

    def _ending_tokens(self, spec: GenerationRequest) -> frozenset[int]:
        stops = frozenset(spec.stop_token_ids)
        return stops if spec.ignore_eos else stops | self._eos


def _emitted(sequence: SequenceState, delta: TokenDelta | None, end: EndReason | None = None) -> Emitted:
    request = sequence.request
    return Emitted(request.key, sequence.choice, delta, end, request.cached_tokens or 0)


def _backend_slices(planned: PlannedSlice) -> Iterator[Slice]:
    """A chunk of the prompt as it is; of generated tokens each for itself."""
    sequence, start, end = planned.sequence, planned.start, planned.start + planned.count
    if not planned.generated:
        yield Slice(sequence.tokens[start:end], start, sequence.pages, planned.rows)
        return
    for position in range(start, end):
        is_last = position == len(sequence.tokens) - 1
        yield Slice([sequence.tokens[position]], position, sequence.pages, rows=int(is_last))


def _portions(rows: Logits, counts: Sequence[int]) -> Iterator[Logits]:
    """So many rows after the other."""
    start = 0
    for count in counts:
        yield rows[start : start + count]
        start += count


def _prompt_scores(planned: PlannedSlice, rows: Logits) -> Iterator[TokenLogprob]:
    """The tokens that the slice's rows foretell, as far as nobody has told of them.

    `rows` are those of the slice's last positions. The logits of a position are of the token behind it.
    """
    request, end = planned.sequence.request, planned.start + planned.count
    prompt, top = request.spec.prompt, request.spec.prompt_logprobs or 0
    if request.scored == 0:
        yield TokenLogprob(prompt[0], None)
    for position in range(request.scored, min(end, len(prompt) - 1)):
        yield sampler.score(rows[position - end], prompt[position + 1], top)
