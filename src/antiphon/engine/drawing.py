"""Draws what a sequence says next: from a row of logits, from a constraint, from a draft that came true.

One row brings one token. A constraint may leave no choice about those behind it, and a draft may have
foretold them, so that the rows behind them are there already. It takes tokens into the sequence and runs
no model.

Invariant: what a sequence says, and its logprobs, are the same with and without drafts and forced tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from antiphon.core.generation import EndReason, GenerationRequest, TokenDelta, TokenLogprob
from antiphon.engine import sampler
from antiphon.engine.backend import Logits
from antiphon.engine.constraint import Matcher
from antiphon.engine.scheduler import Scheduler
from antiphon.engine.sequence import SequenceState
from antiphon.engine.way_out import WaysOut

_T = TypeVar("_T")


@dataclass(slots=True)
class StepTimes:
    """Seconds spent since the start, by what they were spent on."""

    forward: float = 0.0
    sampling: float = 0.0
    masks: float = 0.0

    def clear(self) -> None:
        """Start anew."""
        self.forward = self.sampling = self.masks = 0.0


@dataclass(slots=True)
class Drawn:
    """What one step brought one choice."""

    choice: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    end: EndReason | None = None

    @property
    def delta(self) -> TokenDelta | None:
        """The tokens as the engine port has them, if there are any."""
        if not self.tokens:
            return None
        return TokenDelta(self.choice, tuple(self.tokens), tuple(self.logprobs))


class Drawer:
    """Draws under each request's parameters and each choice's constraint."""

    def __init__(
        self,
        scheduler: Scheduler,
        eos_token_ids: tuple[int, ...],
        clock: Callable[[], float],
        *,
        jump_forward: bool = True,
    ) -> None:
        """`clock` and `jump_forward`: see `EngineLoop`."""
        self.times = StepTimes()
        self.matchers: dict[SequenceState, Matcher] = {}
        self.jump_forward = jump_forward
        self._ways_out = WaysOut()
        self._scheduler = scheduler
        self._eos = frozenset(eos_token_ids)
        self._clock = clock

    def hold(self, sequence: SequenceState, matcher: Matcher) -> None:
        """Let nothing be drawn for the sequence but what the matcher allows."""
        self.matchers[sequence] = matcher
        if sequence.request.spec.budget_hint:
            self._ways_out.begin(sequence, matcher)

    def forget(self, sequence: SequenceState) -> None:
        """Nothing is drawn for it any more. Idempotent."""
        self.matchers.pop(sequence, None)
        self._ways_out.forget(sequence)

    def draw(self, sequence: SequenceState, rows: Logits, drafted: Sequence[int]) -> Drawn:
        """Draw the next token from the first row, and go on while the draft has foretold what was drawn.

        `rows` are the logits before each drafted token, and those behind the last.
        """
        drawn = Drawn(sequence.choice)
        if sequence.request.spec.max_tokens == 0:
            drawn.end = "length"
            return drawn
        self._draw_one(sequence, rows[0], drawn)
        while drawn.end is None and drawn.tokens == list(drafted[: len(drawn.tokens)]):
            self._draw_one(sequence, rows[len(drawn.tokens)], drawn)
        return drawn

    def _draw_one(self, sequence: SequenceState, row: Logits, drawn: Drawn) -> None:
        """Draw a token, and take those that the constraint forces behind it."""
        spec, matcher = sequence.request.spec, self.matchers.get(sequence)
        endings = self._ending_tokens(spec)
        token = self._pick(sequence, row, matcher, endings)
        if token in endings or (matcher and token in self._eos):
            drawn.end = "stop"
            return
        if spec.sampling.top_logprobs is not None:
            drawn.logprobs.append(sampler.score(row, token, spec.sampling.top_logprobs))
        drawn.tokens.append(token)
        drawn.end = self._take(sequence, token, matcher)
        if matcher and drawn.end is None:
            self._jump(sequence, matcher, endings | self._eos, drawn)

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
            token = sampler.draw(row, params, number, self.timed(matcher.allowed))
            if token in endings:
                return token
            if self.timed(partial(matcher.may_follow, token)):
                return self.timed(partial(self._ways_out.fitting, sequence, token))
            attempt += 1

    def _take(self, sequence: SequenceState, token: int, matcher: Matcher | None) -> EndReason | None:
        """Append a token; says whether the choice is over with it."""
        self._scheduler.advance(sequence, token)
        if matcher:
            matcher.consume(token)
            self._ways_out.took(sequence, token)
            if matcher.finished:
                return "stop"
            if matcher.too_deep:
                return "length"
        return "length" if sequence.generated == sequence.request.spec.max_tokens else None

    def _jump(self, sequence: SequenceState, matcher: Matcher, endings: frozenset[int], drawn: Drawn) -> None:
        """Take what the constraint forces now, as far as the choice goes.

        Not where logprobs are asked for: the model has not been asked about these tokens yet.
        """
        if not self.jump_forward or sequence.request.spec.sampling.top_logprobs is not None:
            return
        for token in self.timed(matcher.forced):
            if token in endings:
                drawn.end = "stop"
                return
            drawn.tokens.append(token)
            self._scheduler.counters.forced_tokens += 1
            drawn.end = self._take(sequence, token, matcher)
            if drawn.end:
                return

    def _ending_tokens(self, spec: GenerationRequest) -> frozenset[int]:
        stops = frozenset(spec.stop_token_ids)
        return stops if spec.ignore_eos else stops | self._eos

    def timed(self, ask: Callable[[], _T]) -> _T:
        """What matchers say, the time counted."""
        began = self._clock()
        answer = ask()
        self.times.masks += self._clock() - began
        return answer
