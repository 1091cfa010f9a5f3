"""The engine as a state machine: any mix of arrivals, cancels, stops and steps changes no answer.

Requests share prefixes, fork, overtake each other, are held by schemas that force tokens, run out of
pages and are preempted, and have their tokens guessed. At the end each answer must equal the one the
same request gets alone in an empty engine with plenty of room that draws every token, and so must its
logprobs.
"""

import json
from dataclasses import replace
from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from antiphon.core.generation import Constraint, GenerationRequest, SamplingParams
from antiphon.engine.pacing import PacingOptions
from antiphon.engine.scheduler import SchedulerOptions
from tests.byte_grammar import EOS
from tests.chained_backend import ChainedBackend
from tests.engine_rig import Rig, request

PREFIXES: tuple[list[int], ...] = ([], [3, 1, 4, 1, 5], list(range(1, 14)), [9] * 20)
PET = {
    "type": "object",
    "properties": {"kind": {"enum": ["cat", "canary", "dog"]}, "tame": {"type": "boolean"}},
    "required": ["kind", "tame"],
    "additionalProperties": False,
}
FEW = tuple((token, 60.0) for token in (1, 2, 3))
"""A bias under which answers repeat themselves, so that drafts come true."""
CONSTRAINTS = (
    None,
    Constraint("json_schema", json.dumps(PET)),
    Constraint("regex", "(ab|abba){2}c?"),
    Constraint("json_schema", '{"const": "certain"}'),
)


def alone(spec: GenerationRequest) -> Rig:
    """The request in an engine of its own, answered."""
    options = SchedulerOptions(draft_tokens=0)
    rig = Rig(ChainedBackend(page_count=256, vocab_size=EOS + 1), options, eos=EOS, jump_forward=False)
    rig.submit(spec)
    rig.run()
    return rig


class EngineMachine(RuleBasedStateMachine):
    """Random work on a small engine."""

    @initialize(
        pages=st.sampled_from([16, 20, 64]),
        running=st.integers(1, 8),
        chunk=st.integers(2, 9),
        headroom=st.sampled_from([1, 1, 256]),
        patience=st.sampled_from([5.0, 1e9]),
        draft=st.sampled_from([0, 1, 7]),
    )
    def start(
        self, *, pages: int, running: int, chunk: int, headroom: int, patience: float, draft: int
    ) -> None:
        """An engine with a few pages and narrow steps, a few seconds long."""
        options = SchedulerOptions(
            max_running=running,
            max_waiting=10_000,
            headroom_tokens=headroom,
            patience_s=patience,
            least_run_s=3.0,
            scored_tokens=chunk,
            draft_tokens=draft,
            least_tokens=64,
            pacing=PacingOptions(alone=2 * chunk, first=chunk),
        )
        seconds = count()
        self.rig = Rig(
            ChainedBackend(pages, vocab_size=EOS + 1), options, lambda: float(next(seconds)), eos=EOS
        )
        self.specs: dict[str, GenerationRequest] = {}

    @rule(
        prompt=st.builds(
            list.__add__, st.sampled_from(PREFIXES), st.lists(st.integers(1, 31), min_size=1, max_size=6)
        ),
        max_tokens=st.integers(0, 30),
        choices=st.sampled_from([1, 1, 1, 2, 4]),
        sampling=st.builds(
            SamplingParams,
            temperature=st.sampled_from([0.0, 0.7, 1.0]),
            frequency_penalty=st.sampled_from([0.0, 1.0]),
            logit_bias=st.sampled_from([(), FEW]),
            seed=st.integers(0, 99),
            top_logprobs=st.sampled_from([None, None, 2]),
        ),
        others=st.fixed_dictionaries(
            {
                "constraint": st.sampled_from(CONSTRAINTS),
                "cache_salt": st.sampled_from(["", "", "other"]),
                "priority": st.sampled_from([0, 0, -1, 1]),
                "min_tokens": st.sampled_from([0, 0, 5]),
                "prompt_logprobs": st.sampled_from([None, None, 0, 2]),
            }
        ),
    )
    def arrive(
        self,
        prompt: list[int],
        max_tokens: int,
        choices: int,
        sampling: SamplingParams,
        others: dict[str, object],
    ) -> None:
        """A request comes in."""
        key = f"r{len(self.specs)}"
        spec = replace(request(key, prompt, max_tokens, choices), sampling=sampling)
        self.specs[key] = replace(spec, **others)  # type: ignore[arg-type]
        self.rig.submit(self.specs[key])

    @rule(steps=st.integers(1, 12))
    def step(self, steps: int) -> None:
        """Time passes."""
        for _ in range(steps):
            self.rig.step()

    @precondition(lambda self: self.specs)
    @rule(pick=st.integers(0, 1000))
    def cancel(self, pick: int) -> None:
        """A client leaves."""
        self.rig.loop.cancel(f"r{pick % len(self.specs)}")

    @precondition(lambda self: self.specs)
    @rule(pick=st.integers(0, 1000), choice=st.integers(0, 3))
    def stop(self, pick: int, choice: int) -> None:
        """A stop string was found in one choice."""
        self.rig.loop.stop(f"r{pick % len(self.specs)}", choice)

    def teardown(self) -> None:
        """Everything ends, every page is back, and nobody noticed the others."""
        if not hasattr(self, "rig"):
            return
        self.rig.run()
        assert self.rig.pool.counts().held == 0
        assert self.rig.failed == []
        for key, spec in self.specs.items():
            lone, told = alone(spec), self.rig.prompt_scores[key]
            assert lone.prompt_scores[key][: len(told)] == told
            for choice in range(spec.choices):
                expected, answer = lone.answers[key, choice], self.rig.answers[key, choice]
                if answer.end is not None or answer.tokens:
                    assert lone.prompt_scores[key] == told
                if answer.end is None:  # cancelled or stopped on the way
                    assert expected.tokens[: len(answer.tokens)] == answer.tokens
                    assert expected.logprobs[: len(answer.logprobs)] == answer.logprobs
                else:
                    assert expected == answer


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
