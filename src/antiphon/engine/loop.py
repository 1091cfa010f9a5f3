"""The step: plan, run the model, draw, report. Everything between the scheduler and the backend.

Synchronous, with a clock that is handed in; `host` calls it in a process of its own. Matchers arrive
compiled.

Invariant: an exception that belongs to one request ends that request alone; every request accepted
by `submit` gets, per choice, exactly one end, or one failure, or is cancelled.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from antiphon.core.generation import EndReason, GenerationRequest, TokenDelta, TokenLogprob
from antiphon.engine import sampler
from antiphon.engine.backend import Backend, Logits, Slice
from antiphon.engine.constraint import Matcher
from antiphon.engine.drafts import agreed
from antiphon.engine.drawing import Drawer
from antiphon.engine.masks import MasksAhead
from antiphon.engine.phases import PhaseRecorder
from antiphon.engine.scheduler import PlannedSlice, Scheduler
from antiphon.engine.sequence import RunningRequest, SequenceState, State

_log = logging.getLogger(__name__)


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
        self._drawer = Drawer(scheduler, eos_token_ids, clock, jump_forward=jump_forward)
        self._phases = phases or PhaseRecorder()
        self._masks = MasksAhead()
        self.times = self._drawer.times

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
            self._drawer.hold(sequence, matcher)

    def stop(self, key: str, choice: int) -> None:
        """End one choice quietly. Unknown requests and choices are ignored: they may have ended."""
        request = self._scheduler.requests.get(key)
        if request is not None and choice < len(request.sequences):
            self._drop(request.sequences[choice])

    def cancel(self, key: str) -> None:
        """End a request quietly; unknown ones are ignored."""
        request = self._scheduler.requests.get(key)
        for sequence in request.sequences if request else []:
            self._drawer.forget(sequence)
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
        asked = [m for p in plan if p.draws and (m := self._drawer.matchers.get(p.sequence))]
        if not asked:
            return self._run(plan)
        self._masks.begin(asked)
        try:
            return self._run(plan)
        finally:
            self._drawer.timed(self._masks.finish)

    def _run(self, plan: list[PlannedSlice]) -> Logits:
        began = self._clock()
        rows = self._backend.forward([piece for p in plan for piece in _backend_slices(p)])
        speaking = [p for p in plan if not p.sequence.behind]
        prompt_tokens = sum(p.count for p in plan) - len(speaking)
        decodes = len(speaking) + sum(len(p.drafted) for p in speaking)
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
            request.note_scored(planned.start + planned.count)
            yield Emitted(request.key, planned.sequence.choice, prompt_scores=scores)
        if planned.draws:
            yield from self._draw_all(planned, rows[-1 - len(planned.drafted) :])

    def _draw_all(self, planned: PlannedSlice, rows: Logits) -> Iterator[Outcome]:
        """Draw for the sequence and, when it has just finished the prompt, for those forked from it."""
        sequence = planned.sequence
        request, drawing = sequence.request, [sequence]
        if not sequence.generated:
            self._phases.enter(request.spec, "decode", sequence.prompt_len, request.cached_tokens or 0)
        if not sequence.generated and sequence.choice == 0:
            drawing += self._fork(request)
        for each in drawing:
            drawn = self._drawer.draw(each, rows, planned.drafted)
            self._scheduler.accepted(planned, agreed(planned.drafted, drawn.tokens))
            yield self._end(each, drawn.end, drawn.delta) if drawn.end else _emitted(each, drawn.delta)

    def _fork(self, request: RunningRequest) -> list[SequenceState]:
        if request.prefilled:
            return []
        for copy in self._scheduler.fork(request):
            self._backend.copy_page(copy.source, copy.target)
        forked = [s for s in request.sequences[1:] if s.state is State.RUNNING]
        for sequence in forked if request.spec.constraint else []:
            self._drawer.matchers[sequence].begin_like(self._drawer.matchers[request.sequences[0]])
        return forked

    def _end(self, sequence: SequenceState, reason: EndReason, delta: TokenDelta | None) -> Emitted:
        self._drop(sequence)
        return _emitted(sequence, delta, reason)

    def _drop(self, sequence: SequenceState) -> None:
        self._drawer.forget(sequence)
        self._scheduler.end(sequence)
        request = sequence.request
        if request.ended:
            self._phases.leave(request.key, "finished", request.generated)


def _emitted(sequence: SequenceState, delta: TokenDelta | None, end: EndReason | None = None) -> Emitted:
    request = sequence.request
    return Emitted(request.key, sequence.choice, delta, end, request.cached_tokens or 0)


def _backend_slices(planned: PlannedSlice) -> Iterator[Slice]:
    """A chunk of the prompt as it is; of generated and drafted tokens each for itself."""
    sequence, start, end = planned.sequence, planned.start, planned.start + planned.count
    if not planned.generated:
        yield Slice(sequence.tokens[start:end], start, sequence.pages, planned.rows)
        return
    for position in range(start, end):
        is_last = position == len(sequence.tokens) - 1
        yield Slice([sequence.tokens[position]], position, sequence.pages, rows=int(is_last))
    for position, token in enumerate(planned.drafted, end):
        yield Slice([token], position, sequence.pages, rows=1)


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
