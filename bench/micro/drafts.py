"""Answers with and without drafts by prompt lookup, in turns in one process: what guessing is worth.

`python -m bench.micro.drafts` runs texts that repeat more and less on the bare engine loop, alone and
eight at a time, and keeps tokens per second of each round. Both ways draw the same answers, which is checked.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

from antiphon.core.generation import GenerationRequest, SamplingParams
from antiphon.core.messages import Message
from antiphon.models.chat_template import load_chat_template
from antiphon.models.tokenizer import load_tokenizer
from antiphon.text.prompt import encode_prompt
from bench.cli import find_model
from bench.micro.kept import keep
from bench.micro.rig import Rig, make_rig
from bench.servers.peer import Model
from bench.workloads import make

_THREADS: Final = 2
_ROUNDS: Final = 3
_DRAFT_TOKENS: Final = 7
_TOKENS: Final = 64
_CODE: Final = """def area(width, height):
    return width * height

def volume(width, height, depth):
    return area(width, height) * depth
"""
_QUESTIONS: Final = (
    "What is the capital of France?",
    "Write a Python function that returns the n-th Fibonacci number.",
    "Explain photosynthesis in simple words.",
    "List five fruits and their colours as a table.",
)
_COPIES: Final = (
    f"Repeat this Python code, with width renamed to w:\n{_CODE}",
    "Repeat word by word: The quick brown fox jumps over the lazy dog. The dog sleeps.",
)


@dataclass(frozen=True, slots=True)
class Case:
    """Requests of one kind, so many at a time."""

    name: str
    words: tuple[str, ...]
    temperature: float
    concurrency: int


def cases() -> Iterator[Case]:
    """From texts that hardly repeat to texts that do little else."""
    chat = tuple(talk.turns[0] for talk in make("chat", 4, 0, 1).conversations[:4])
    for concurrency in (1, 8):
        yield Case("random words", chat, 1.0, concurrency)
        yield Case("questions", _QUESTIONS, 0.7, concurrency)
        yield Case("questions", _QUESTIONS, 0.0, concurrency)
        yield Case("copies", _COPIES * 2, 0.0, concurrency)


class Bench:
    """One loaded model."""

    def __init__(self, model: Model) -> None:
        self.rig: Rig = make_rig(model, _THREADS)
        self._tokenizer = load_tokenizer(model.folder)
        self._template = load_chat_template(model.folder)
        self._numbers = count()

    def round(self, case: Case, draft_tokens: int) -> tuple[dict[str, Any], list[list[int]]]:
        """Tokens per second, steps and drafts; and the answers."""
        scheduler = self.rig.scheduler
        scheduler.options = replace(scheduler.options, draft_tokens=draft_tokens)
        drafted, accepted = scheduler.counters.drafted_tokens, scheduler.counters.accepted_tokens
        specs = self._requests(case)
        answers: dict[str, list[int]] = {spec.id: [] for spec in specs}
        steps, began = 0, time.perf_counter()
        for outcomes in self.rig.drive(((spec, []) for spec in specs), case.concurrency):
            steps += 1
            for outcome in outcomes:
                answers[outcome.key] += outcome.delta.token_ids if outcome.delta else ()
        figures = {
            "tokens_per_s": sum(map(len, answers.values())) / (time.perf_counter() - began),
            "steps": steps,
            "drafted": scheduler.counters.drafted_tokens - drafted,
            "accepted": scheduler.counters.accepted_tokens - accepted,
        }
        return figures, [*answers.values()]

    def _requests(self, case: Case) -> list[GenerationRequest]:
        """The same each time, but found nowhere in the prefix cache."""
        number = next(self._numbers)
        words = case.words * (2 if case.concurrency > len(case.words) else 1)
        return [
            GenerationRequest(
                f"{number}-{place}",
                tuple(encode_prompt(self._template, self._tokenizer, [Message("user", text)])),
                _TOKENS,
                sampling=SamplingParams(temperature=case.temperature, seed=place),
                cache_salt=str(number),
                ignore_eos=True,
            )
            for place, text in enumerate(words)
        ]


def compare(bench: Bench, case: Case) -> dict[str, Any]:
    """Rounds with and without drafts, in turns."""
    rounds: dict[int, list[dict[str, Any]]] = {0: [], _DRAFT_TOKENS: []}
    said: list[list[list[int]]] = []
    for _ in range(_ROUNDS):
        for draft_tokens in rounds:
            figures, answers = bench.round(case, draft_tokens)
            rounds[draft_tokens].append(figures)
            said.append(answers)
    assert all(answers == said[0] for answers in said), "drafts have changed an answer"
    pairs = zip(rounds[0], rounds[_DRAFT_TOKENS], strict=True)
    return {
        "case": case.name,
        "temperature": case.temperature,
        "concurrency": case.concurrency,
        "ratio": statistics.median(on["tokens_per_s"] / off["tokens_per_s"] for off, on in pairs),
        "without": rounds[0],
        "with": rounds[_DRAFT_TOKENS],
    }


def main() -> None:
    """Warm up, measure in turns, keep."""
    bench = Bench(find_model("smollm2-135m"))
    plan = list(cases())
    bench.round(plan[0], 0)
    found = [compare(bench, case) for case in plan]
    keep("drafts", "tokens per second with drafts by prompt lookup, beside none", {"cases": found})


if __name__ == "__main__":
    main()
