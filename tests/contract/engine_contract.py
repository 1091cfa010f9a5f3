"""What every implementation of `core.ports.Engine` must do, as one suite.

To put an engine under contract, write `test_engine_<name>.py` with a fixture `engine_case` and one
empty subclass:

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def engine_case() -> AsyncIterator[EngineCase]:
        engine = MyEngine(...)
        await engine.start()
        yield EngineCase(engine, fresh=lambda: MyEngine(...), prompt=..., decode=...)
        await engine.aclose()

    @pytest.mark.model  # where it needs the real model
    @pytest.mark.asyncio(loop_scope="module")
    class TestMyEngine(EngineContract):
        pass

The engine is started once and serves all tests of the module; each leaves it idle.
"""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from uuid import uuid4

import jsonschema
import pytest

from antiphon.core.errors import EngineFailed, EngineUnavailable, SchemaRefused
from antiphon.core.generation import (
    ChoiceEnd,
    Constraint,
    EngineEvent,
    GenerationRequest,
    PromptScores,
    SamplingParams,
    TokenDelta,
    TokenLogprob,
)
from antiphon.core.ports import Engine, Generation

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "mood": {"enum": ["calm", "merry"]},
    },
    "required": ["name", "age", "mood"],
    "additionalProperties": False,
}

LONG_QUESTION = "Tell me of the sea, and of whoever sails there. " * 6


@dataclass(frozen=True)
class EngineCase:
    """An engine under contract, and what the suite needs to talk to it."""

    engine: Engine
    """Started."""
    fresh: Callable[[], Engine]
    """Makes another one, not started."""
    prompt: Callable[[str], tuple[int, ...]]
    """A prompt that asks the model this."""
    decode: Callable[[Sequence[int]], str]
    """The text of generated tokens."""
    patience_s: float = 60.0
    """No single answer takes longer than this."""

    def request(self, question: str = "Count the birds.", **changes: object) -> GenerationRequest:
        """A short request with some fields changed; what is left of another is never taken for it."""
        request = GenerationRequest(uuid4().hex, self.prompt(question), max_tokens=12)
        return replace(request, **changes)  # type: ignore[arg-type]

    async def answer(self, request: GenerationRequest) -> list[EngineEvent]:
        """All events of a request that is left alone."""
        return await self.rest_of(self.engine.generate(request))

    async def rest_of(self, generation: Generation) -> list[EngineEvent]:
        """All events from here on; closes the generation."""
        async with asyncio.timeout(self.patience_s), aclosing(generation):
            return [event async for event in generation]

    async def idle(self) -> bool:
        """True once nothing runs or waits; False when that does not come about."""
        try:
            async with asyncio.timeout(self.patience_s):
                while self.engine.stats().running or self.engine.stats().waiting:  # noqa: ASYNC110
                    # The port tells this state only to those who ask.
                    await asyncio.sleep(0.01)
        except TimeoutError:
            return False
        return True


def tokens_of(events: Sequence[EngineEvent], choice: int = 0) -> list[int]:
    """The tokens of one choice."""
    deltas = (event for event in events if isinstance(event, TokenDelta) and event.choice == choice)
    return [token for delta in deltas for token in delta.token_ids]


def ends_of(events: Sequence[EngineEvent]) -> dict[int, str]:
    """How each choice ended, having checked that it ended once and that nothing followed."""
    ends: dict[int, str] = {}
    for event in events:
        assert event.choice not in ends
        if isinstance(event, ChoiceEnd):
            ends[event.choice] = event.reason
    return ends


def prompt_scores_of(events: Sequence[EngineEvent]) -> list[TokenLogprob]:
    """What was told of the prompt, having checked that it came before everything else."""
    of_prompt = [isinstance(event, PromptScores) for event in events]
    assert of_prompt == sorted(of_prompt, reverse=True)
    return [entry for event in events if isinstance(event, PromptScores) for entry in event.logprobs]


async def first_event(generation: Generation) -> EngineEvent:
    """Wait for one event."""
    return await anext(aiter(generation))


class EngineContract:
    """The suite; subclasses add nothing."""

    async def test_each_choice_ends_exactly_once(self, engine_case: EngineCase) -> None:
        """Every choice has deltas, then one end, and nothing after it."""
        events = await engine_case.answer(engine_case.request(choices=3))

        assert set(ends_of(events)) == {0, 1, 2}

    async def test_max_tokens_is_exact(self, engine_case: EngineCase) -> None:
        """With end-of-sequence ignored, exactly the allowed number of tokens comes."""
        events = await engine_case.answer(engine_case.request(max_tokens=17, choices=2, ignore_eos=True))

        assert ends_of(events) == {0: "length", 1: "length"}
        assert [len(tokens_of(events, choice)) for choice in (0, 1)] == [17, 17]

    async def test_one_token_is_enough(self, engine_case: EngineCase) -> None:
        """A budget of one token gives one token."""
        events = await engine_case.answer(engine_case.request(max_tokens=1, ignore_eos=True))

        assert (ends_of(events), len(tokens_of(events))) == ({0: "length"}, 1)

    async def test_seed_repeats_alone_and_in_company(self, engine_case: EngineCase) -> None:
        """The same seed draws the same tokens, whatever else the engine does."""
        request = engine_case.request(sampling=SamplingParams(seed=7), choices=2, ignore_eos=True)
        others = [engine_case.request(f"Story {i}", id=str(i), ignore_eos=True) for i in range(3)]
        alone = await engine_case.answer(request)
        among, *_ = await asyncio.gather(*(engine_case.answer(r) for r in (request, *others)))

        for choice in (0, 1):
            assert tokens_of(among, choice) == tokens_of(alone, choice)

    async def test_seeds_and_choices_differ(self, engine_case: EngineCase) -> None:
        """At temperature 1 another seed, and another choice of the same seed, draw otherwise."""
        answers = [
            await engine_case.answer(
                engine_case.request(
                    max_tokens=24, choices=2, sampling=SamplingParams(seed=seed), ignore_eos=True
                )
            )
            for seed in (1, 2)
        ]
        drawn = {tuple(tokens_of(events, choice)) for events in answers for choice in (0, 1)}

        assert len(drawn) == 4

    async def test_greedy_does_not_depend_on_the_seed(self, engine_case: EngineCase) -> None:
        """At temperature 0 every seed and every choice give the same tokens."""
        answers = [
            await engine_case.answer(
                engine_case.request(choices=2, sampling=SamplingParams(temperature=0.0, seed=seed))
            )
            for seed in (1, 2)
        ]
        drawn = {tuple(tokens_of(events, choice)) for events in answers for choice in (0, 1)}

        assert len(drawn) == 1

    async def test_stop_ends_one_choice_quietly(self, engine_case: EngineCase) -> None:
        """A stopped choice is not heard of again; the others go on to their end."""
        request = engine_case.request(choices=2, max_tokens=40, ignore_eos=True)
        generation = engine_case.engine.generate(request)
        await first_event(generation)
        generation.stop(1)
        generation.stop(1)
        rest = await engine_case.rest_of(generation)

        assert {event.choice for event in rest} == {0}
        assert ends_of(rest) == {0: "length"}

    async def test_stopping_every_choice_ends_the_generation(self, engine_case: EngineCase) -> None:
        """With no choice left there is nothing to wait for."""
        request = engine_case.request(choices=2, max_tokens=400, ignore_eos=True)
        generation = engine_case.engine.generate(request)
        await first_event(generation)
        generation.stop(0)
        generation.stop(1)
        rest = await engine_case.rest_of(generation)

        assert rest == []
        assert await engine_case.idle()

    async def test_closing_cancels(self, engine_case: EngineCase) -> None:
        """After an early close the engine is soon idle, and the iteration is over."""
        request = engine_case.request(choices=2, max_tokens=400, ignore_eos=True)
        generation = engine_case.engine.generate(request)
        await first_event(generation)
        await generation.aclose()
        await generation.aclose()

        assert [event async for event in generation] == []
        assert await engine_case.idle()

    async def test_closing_before_the_first_event_cancels(self, engine_case: EngineCase) -> None:
        """A request nobody listened to is cancelled all the same."""
        generation = engine_case.engine.generate(engine_case.request(max_tokens=400, ignore_eos=True))
        await generation.aclose()

        assert await engine_case.idle()

    async def test_logprobs_score_every_token(self, engine_case: EngineCase) -> None:
        """One entry per token, in order; k alternatives, best first; all finite and at most 0."""
        events = await engine_case.answer(engine_case.request(sampling=SamplingParams(top_logprobs=3)))
        deltas = [event for event in events if isinstance(event, TokenDelta)]
        scores = [score for delta in deltas for score in delta.logprobs]

        assert [score.token_id for score in scores] == tokens_of(events)
        for score in scores:
            values = [value for _, value in score.top]
            assert len({token for token, _ in score.top}) == 3
            assert values == sorted(values, reverse=True)
            assert score.logprob is not None
            assert all(math.isfinite(value) and value <= 0 for value in [score.logprob, *values])

    async def test_logprobs_without_alternatives(self, engine_case: EngineCase) -> None:
        """Zero alternatives still score the token itself."""
        events = await engine_case.answer(engine_case.request(sampling=SamplingParams(top_logprobs=0)))
        deltas = [event for event in events if isinstance(event, TokenDelta)]

        assert all(len(delta.logprobs) == len(delta.token_ids) for delta in deltas)
        assert {score.top for delta in deltas for score in delta.logprobs} == {()}

    async def test_logprobs_are_off_by_default(self, engine_case: EngineCase) -> None:
        """Nobody pays for scores that were not asked for."""
        events = await engine_case.answer(engine_case.request())

        assert not any(event.logprobs for event in events if isinstance(event, TokenDelta))

    async def test_prompt_is_scored_before_the_answer(self, engine_case: EngineCase) -> None:
        """One entry per token, the first without a logprob; k alternatives, best first; told once."""
        request = engine_case.request(LONG_QUESTION, choices=2, prompt_logprobs=3)
        events = await engine_case.answer(request)
        first, *scores = prompt_scores_of(events)

        assert tuple(score.token_id for score in (first, *scores)) == request.prompt
        assert (first.logprob, first.top) == (None, ())
        for score in scores:
            values = [value for _, value in score.top]
            assert len({token for token, _ in score.top}) == 3
            assert values == sorted(values, reverse=True)
            assert score.logprob is not None
            assert all(math.isfinite(value) and value <= 0 for value in [score.logprob, *values])
        assert set(ends_of(events)) == {0, 1}

    async def test_prompt_scores_repeat_in_company_and_after_others(self, engine_case: EngineCase) -> None:
        """Whatever is cached of the prompt by then, and whoever else is there; and the answer is the same."""
        plain = engine_case.request(LONG_QUESTION, sampling=SamplingParams(seed=3))
        asked = replace(plain, id="scored", prompt_logprobs=1)
        alone = await engine_case.answer(asked)
        unasked = await engine_case.answer(plain)
        others = [replace(asked, id=f"scored-{i}", prompt=plain.prompt[i:]) for i in range(3)]
        among, *_ = await asyncio.gather(*map(engine_case.answer, [replace(asked, id="again"), *others]))

        assert prompt_scores_of(among) == prompt_scores_of(alone)
        assert tokens_of(among) == tokens_of(alone) == tokens_of(unasked)
        assert prompt_scores_of(unasked) == []

    async def test_prompt_of_one_token_has_one_entry(self, engine_case: EngineCase) -> None:
        """Which has nothing to say."""
        prompt = engine_case.request().prompt[:1]
        events = await engine_case.answer(engine_case.request(prompt=prompt, prompt_logprobs=0))

        assert prompt_scores_of(events) == [TokenLogprob(prompt[0], None)]

    async def test_budget_of_nothing_computes_the_prompt_alone(self, engine_case: EngineCase) -> None:
        """Every choice ends without a token."""
        request = engine_case.request(max_tokens=0, choices=2, prompt_logprobs=0)
        events = await engine_case.answer(request)

        assert len(prompt_scores_of(events)) == len(request.prompt)
        assert ends_of(events) == {0: "length", 1: "length"}
        assert not any(isinstance(event, TokenDelta) for event in events)
        assert await engine_case.idle()

    async def test_min_tokens_masks_endings(self, engine_case: EngineCase) -> None:
        """No choice ends before its minimum."""
        events = await engine_case.answer(
            engine_case.request("Say yes.", max_tokens=64, min_tokens=48, choices=2)
        )

        assert all(len(tokens_of(events, choice)) >= 48 for choice in (0, 1))

    async def test_ending_tokens_are_not_delivered(self, engine_case: EngineCase) -> None:
        """A stop token ends its choice and is neither delivered nor counted."""
        greedy = engine_case.request(sampling=SamplingParams(temperature=0.0), ignore_eos=True)
        tokens = tokens_of(await engine_case.answer(greedy))
        last = tokens[-1]
        stopped = await engine_case.answer(replace(greedy, stop_token_ids=(last,)))

        assert ends_of(stopped) == {0: "stop"}
        assert tokens_of(stopped) == tokens[: tokens.index(last)]

    async def test_end_of_sequence_is_not_delivered(self, engine_case: EngineCase) -> None:
        """The end-of-sequence token ends a choice and is never heard."""
        events = await engine_case.answer(engine_case.request("Say yes.", max_tokens=64, choices=4))
        heard = {token for choice in range(4) for token in tokens_of(events, choice)}

        assert not heard & set(engine_case.engine.info.eos_token_ids)

    async def test_many_requests_at_once_all_end(self, engine_case: EngineCase) -> None:
        """Twenty requests sent together are all answered, and leave nothing behind."""
        requests = [engine_case.request(f"Number {i}", id=str(i)) for i in range(20)]
        answers = await asyncio.gather(*map(engine_case.answer, requests))

        assert [set(ends_of(events)) for events in answers] == [{0}] * 20
        assert await engine_case.idle()

    async def test_totals_add_up(self, engine_case: EngineCase) -> None:
        """What an answer cost is in the figures: its prompt once, each of its tokens, and some steps."""
        assert await engine_case.idle()
        before = engine_case.engine.stats()
        request = engine_case.request(max_tokens=9, choices=2, ignore_eos=True)
        await engine_case.answer(request)
        assert await engine_case.idle()
        after = engine_case.engine.stats()

        assert after.prompt_tokens - before.prompt_tokens == len(request.prompt)
        assert after.generated_tokens - before.generated_tokens == 18
        assert after.steps > before.steps
        assert after.tokens_per_s > 0
        assert after.forward_s >= before.forward_s
        assert 0 <= after.hit_rate <= 1

    async def test_simple_schema_is_accepted(self, engine_case: EngineCase) -> None:
        """A plain schema compiles."""
        await engine_case.engine.check(Constraint("json_schema", json.dumps(PERSON)))

    async def test_impossible_schema_is_refused(self, engine_case: EngineCase) -> None:
        """A schema nothing can satisfy is refused, with a reason and without a name."""
        impossible = Constraint("json_schema", '{"type":"string","minLength":5,"maxLength":2}')
        with pytest.raises(SchemaRefused) as refused:
            await engine_case.engine.check(impossible)

        assert refused.value.name == ""
        assert refused.value.reason

    @pytest.mark.parametrize("seed", range(3))
    async def test_constrained_answer_is_valid(self, engine_case: EngineCase, seed: int) -> None:
        """What is said under a schema is JSON, valid under it, keys in its order."""
        constraint = Constraint("json_schema", json.dumps(PERSON))
        events = await engine_case.answer(
            engine_case.request(
                "Describe a person.",
                max_tokens=200,
                constraint=constraint,
                sampling=SamplingParams(seed=seed),
            )
        )
        person = json.loads(engine_case.decode(tokens_of(events)))
        jsonschema.validate(person, PERSON)

        assert ends_of(events) == {0: "stop"}
        assert list(person) == list(PERSON["properties"])  # type: ignore[call-overload]

    async def test_engine_that_is_not_running_is_unavailable(self, engine_case: EngineCase) -> None:
        """Before `start` nothing can be asked of it."""
        engine = engine_case.fresh()

        assert not engine.stats().ready
        with pytest.raises(EngineUnavailable):
            engine.generate(engine_case.request())
        with pytest.raises(EngineUnavailable):
            await engine.check(Constraint("json_schema", "{}"))
        await engine.aclose()

    async def test_closed_engine_fails_what_runs(self, engine_case: EngineCase) -> None:
        """Closing the engine fails its generations and leaves it unavailable."""
        engine = engine_case.fresh()
        await engine.start()
        generation = engine.generate(engine_case.request(max_tokens=400, ignore_eos=True))
        await first_event(generation)
        await engine.aclose()
        await engine.aclose()

        with pytest.raises(EngineFailed):
            await engine_case.rest_of(generation)
        with pytest.raises(EngineUnavailable):
            engine.generate(engine_case.request())
