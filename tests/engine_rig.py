"""The engine's loop over a given backend, driven by hand: submit, step, look at what came out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from antiphon.core.generation import EndReason, GenerationRequest, SamplingParams, TokenLogprob
from antiphon.engine.backend import Backend
from antiphon.engine.constraint import ConstraintCompiler
from antiphon.engine.loop import Emitted, EngineLoop
from antiphon.engine.pages import PagePool
from antiphon.engine.phases import PhaseRecorder
from antiphon.engine.scheduler import Scheduler, SchedulerOptions
from tests.byte_grammar import byte_compiler

EOS = 0


@cache
def compiler() -> ConstraintCompiler:
    """Made once: it takes a moment, and keeps what it compiled."""
    return byte_compiler()


@dataclass
class Answer:
    """What one choice has said so far."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    end: EndReason | None = None


class Rig:
    """A loop, its scheduler and everything it has emitted."""

    def __init__(
        self,
        backend: Backend,
        options: SchedulerOptions | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        *,
        eos: int = EOS,
        jump_forward: bool = True,
        phases: PhaseRecorder | None = None,
    ) -> None:
        self.backend = backend
        self.pool = PagePool(backend.page_count)
        self.scheduler = Scheduler(self.pool, backend.page_tokens, options or SchedulerOptions())
        self.loop = EngineLoop(
            backend, self.scheduler, (eos,), clock, jump_forward=jump_forward, phases=phases
        )
        self.answers: dict[tuple[str, int], Answer] = {}
        self.failed: list[str] = []
        self.cached: dict[str, int] = {}
        self.prompt_scores: dict[str, list[TokenLogprob]] = {}

    def submit(self, request: GenerationRequest) -> None:
        """Submit a request; a constraint's tokens are bytes, as `tests.byte_grammar` numbers them."""
        constraint = request.constraint
        matchers = [compiler().compile(constraint) for _ in range(request.choices)] if constraint else []
        self.loop.submit(request, matchers)
        self.prompt_scores[request.id] = []
        for choice in range(request.choices):
            self.answers[request.id, choice] = Answer()

    def step(self) -> None:
        """One step, with the invariants that must hold after each."""
        for outcome in self.loop.step():
            if isinstance(outcome, Emitted):
                self._record(outcome)
            else:
                self.failed.append(outcome.key)
        self.check_pages()

    def run(self, max_steps: int = 10_000) -> None:
        """Step until nothing is left."""
        while self.loop.active:
            self.step()
            max_steps -= 1
            assert max_steps > 0, "the engine makes no progress"

    def check_pages(self) -> None:
        """Every page is in one place, and held exactly as often as sequences list it."""
        counts = self.pool.counts()
        assert self.backend.page_count == counts.free + counts.idle + counts.held
        held = {page for s in self.scheduler.running for page in s.pages}
        assert counts.held == len(held)
        assert not [s for s in self.scheduler.waiting if s.pages]

    def _record(self, emitted: Emitted) -> None:
        answer = self.answers[emitted.key, emitted.choice]
        assert answer.end is None, "an event after the end"
        if emitted.prompt_scores:
            assert not any(a.tokens for (key, _), a in self.answers.items() if key == emitted.key)
            self.prompt_scores[emitted.key] += emitted.prompt_scores
        if emitted.delta:
            answer.tokens += emitted.delta.token_ids
            answer.logprobs += emitted.delta.logprobs
        if emitted.end:
            answer.end = emitted.end
            self.cached[emitted.key] = emitted.cached_tokens


def request(
    key: str, prompt: list[int], max_tokens: int = 8, choices: int = 1, seed: int = 1, **sampling: float
) -> GenerationRequest:
    """A request with sampling parameters by name."""
    params = SamplingParams(seed=seed, **sampling)  # type: ignore[arg-type]
    return GenerationRequest(key, tuple(prompt), max_tokens, choices, params)
