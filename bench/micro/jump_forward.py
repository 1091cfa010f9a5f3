"""Strict JSON with and without jump-forward, in turns in one process, and what masks cost.

`python -m bench.micro.jump_forward` runs the `json` workload at concurrency 8 on the bare engine loop
and keeps requests per second of each round. Both ways draw the same answers.
"""

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from antiphon.core.generation import Constraint, GenerationRequest
from antiphon.engine.constraint import ConstraintCompiler, Matcher
from antiphon.models.folder import describe_folder
from bench.cli import find_model
from bench.micro.closed_loop import encoded_requests
from bench.micro.kept import keep
from bench.micro.rig import Rig, make_rig
from bench.servers.peer import Model
from bench.workloads import make

_CONCURRENCY = 8
_ROUNDS = 3
_EACH = 3
_THREADS = 2
_CENTILES = (50, 90, 99)


class TimedMatcher(Matcher):
    """Notes how long each question takes."""

    masks_s: list[float]
    forced_s: list[float]

    def allowed(self) -> Any:
        """See `Matcher.allowed`."""
        began = time.perf_counter()
        answer = super().allowed()
        self.masks_s.append(time.perf_counter() - began)
        return answer

    def forced(self) -> list[int]:
        """See `Matcher.forced`."""
        began = time.perf_counter()
        answer = super().forced()
        self.forced_s.append(time.perf_counter() - began)
        return answer


class Bench:
    """One loaded model and the workload's requests."""

    def __init__(self, model: Model) -> None:
        self.rig: Rig = make_rig(model, _THREADS)
        workload = make("json", _CONCURRENCY, 0, _EACH)
        schema = workload.parameters["response_format"]["json_schema"]["schema"]  # type: ignore[index]
        self.constraint = Constraint("json_schema", json.dumps(schema))
        self.specs = encoded_requests(workload, model)
        described = describe_folder(model.folder, model.spec, model.digest)
        tokenizer = (model.folder / "tokenizer.json").read_text(encoding="utf-8")
        vocabulary = self.rig.backend.vocab_size
        self.compiler = ConstraintCompiler(tokenizer, vocabulary, described.eos_token_ids)
        self.masks_s: list[float] = []
        self.forced_s: list[float] = []
        self._numbers = count()

    def round(self, *, jump_forward: bool) -> dict[str, Any]:
        """Requests per second, and how many steps and tokens it took."""
        self.rig.loop._drawer.jump_forward = jump_forward
        backend, tokens, steps = self.rig.backend, 0, 0
        backend.forward_s = 0.0
        todo = ((spec, [self._matcher()]) for spec in self._requests())
        began = time.perf_counter()
        for outcomes in self.rig.drive(todo, _CONCURRENCY):
            steps += 1
            tokens += sum(len(outcome.delta.token_ids) for outcome in outcomes if outcome.delta)
        seconds = time.perf_counter() - began
        return {
            "jump_forward": jump_forward,
            "requests_per_s": len(self.specs) / seconds,
            "seconds": seconds,
            "steps": steps,
            "tokens": tokens,
            "forward_share": backend.forward_s / seconds,
        }

    def _matcher(self) -> Matcher:
        plain = self.compiler.compile(self.constraint)
        matcher = TimedMatcher(plain._matcher, plain._vocabulary)
        matcher.masks_s, matcher.forced_s = self.masks_s, self.forced_s
        return matcher

    def _requests(self) -> Iterator[GenerationRequest]:
        """The same each time, but found nowhere in the prefix cache."""
        number = next(self._numbers)
        for place, spec in enumerate(self.specs):
            changes = {"id": f"{number}-{place}", "cache_salt": str(number), "ignore_eos": False}
            yield replace(spec, constraint=self.constraint, max_tokens=128, **changes)  # type: ignore[arg-type]


def centiles(seconds: list[float]) -> dict[str, float]:
    """Of measured seconds, in microseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {f"p{centile}_us": round(cuts[centile - 1] * 1e6, 1) for centile in _CENTILES}


def main() -> None:
    """Warm up, measure in turns, keep."""
    bench = Bench(find_model("smollm2-135m"))
    bench.round(jump_forward=True)
    bench.masks_s.clear()
    bench.forced_s.clear()
    rounds = [bench.round(jump_forward=on) for _ in range(_ROUNDS) for on in (False, True)]
    medians = {
        on: statistics.median(r["requests_per_s"] for r in rounds if r["jump_forward"] is on)
        for on in (False, True)
    }
    found = {
        "rounds": rounds,
        "ratio": medians[True] / medians[False],
        "masks": {"count": len(bench.masks_s), **centiles(bench.masks_s)},
        "forced": {"count": len(bench.forced_s), **centiles(bench.forced_s)},
    }
    keep("jump-forward", "strict JSON, five fields, concurrency 8, with and without jump-forward", found)


if __name__ == "__main__":
    main()
