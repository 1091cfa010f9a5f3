"""An engine loop as the engine process builds it: the one place here that knows its parts."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from antiphon.core.generation import GenerationRequest, SamplingParams
from antiphon.engine.backend import Logits, Slice
from antiphon.engine.backends.openvino import OpenVINOBackend, OpenVINOOptions
from antiphon.engine.constraint import Matcher
from antiphon.engine.loop import Emitted, EngineLoop
from antiphon.engine.pages import PagePool
from antiphon.engine.scheduler import Scheduler, SchedulerOptions
from antiphon.models.folder import describe_folder
from bench.servers.peer import Model

_KV_CACHE_BYTES = 1 << 30
_MAX_RUNNING = 64


class TimedBackend(OpenVINOBackend):
    """Adds up the time spent in `forward`."""

    forward_s = 0.0

    def forward(self, slices: Sequence[Slice]) -> Logits:
        """Run one step; see `Backend.forward`."""
        began = time.perf_counter()
        rows = super().forward(slices)
        self.forward_s += time.perf_counter() - began
        return rows


@dataclass(frozen=True, slots=True)
class Rig:
    """A loaded model behind a loop."""

    backend: TimedBackend
    loop: EngineLoop
    scheduler: Scheduler

    def drive(
        self, todo: Iterator[tuple[GenerationRequest, list[Matcher]]], concurrency: int
    ) -> Iterator[list[Emitted]]:
        """Keep so many requests of one choice going until all are done; yields what each step brings."""
        running = 0
        while True:
            while running < concurrency and (following := next(todo, None)) is not None:
                self.loop.submit(*following)
                running += 1
            if not running:
                return
            outcomes: list[Emitted] = []
            for outcome in self.loop.step():
                assert isinstance(outcome, Emitted)
                outcomes.append(outcome)
            yield outcomes
            running -= sum(outcome.end is not None for outcome in outcomes)

    def is_running(self, key: str) -> bool:
        """Whether a request has not ended."""
        return key in self.scheduler.requests


def make_rig(model: Model, threads: int) -> Rig:
    """Load the model; takes seconds."""
    described = describe_folder(model.folder, model.spec, model.digest)
    backend = TimedBackend(OpenVINOOptions(described.folder, _KV_CACHE_BYTES, threads))
    pool = PagePool(backend.page_count)
    scheduler = Scheduler(
        pool,
        backend.page_tokens,
        SchedulerOptions(max_running=_MAX_RUNNING, least_tokens=backend.least_tokens),
    )
    loop = EngineLoop(backend, scheduler, described.eos_token_ids, time.perf_counter)
    return Rig(backend, loop, scheduler)


_numbers = count()


def request(prompt: list[int], tokens: int) -> GenerationRequest:
    """A request that runs to its full length at temperature 1, as in the server workloads."""
    number = next(_numbers)
    return GenerationRequest(
        id=f"{number:x}",
        prompt=tuple(prompt),
        max_tokens=tokens,
        sampling=SamplingParams(temperature=1.0, seed=number),
        ignore_eos=True,
    )
