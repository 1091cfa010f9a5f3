"""Drafts: what is guessed, and that guessing changes the number of steps and nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.generation import Constraint, GenerationRequest, SamplingParams
from antiphon.engine.drafts import Drafter, DraftTerms, agreed
from antiphon.engine.pacing import PacingOptions, PrefillPacer
from antiphon.engine.scheduler import SchedulerOptions
from tests.byte_grammar import EOS, token_of
from tests.chained_backend import ChainedBackend
from tests.engine_rig import Answer, Rig, request

TOKENS = st.integers(0, 3) | st.sampled_from([255, 256, 65_536, 262_143])
FEW = tuple((token, 100.0) for token in (1, 2, 3))
"""A bias that leaves three tokens to draw from, so that everything repeats."""


def plainly(tokens: list[int], most: int) -> list[int]:
    """What followed the last time that the longest known ending, of up to three tokens, occurred."""
    for order in (3, 2, 1):
        for start in reversed(range(len(tokens) - order)):
            if tokens[start : start + order] == tokens[-order:]:
                return tokens[start + order :][:most]
    return []


@given(first=st.lists(TOKENS, max_size=20), then=st.lists(TOKENS, max_size=20), most=st.integers(1, 9))
def test_the_guess_is_what_followed_the_last_time(first: list[int], then: list[int], most: int) -> None:
    """The longest ending that occurred before decides, and of its places the last."""
    drafter = Drafter(first)
    for token in then:
        drafter.append(token)
    expected = plainly([*first, *then], most)
    assert drafter.propose(DraftTerms(most, -1.0)) == tuple(
        expected[: max(n for n in (0, 1, 3, 7) if n <= len(expected))]
    )


def test_a_guess_is_made_where_it_is_worth_its_price() -> None:
    """Sure of three tokens in a row it guesses far; of one token it guesses only what costs nothing."""
    sure, unsure = Drafter([1, 2, 3, 4, 5, 6, 7, 1, 2, 3]), Drafter([3, 4, 5, 6, 9, 3])
    assert sure.propose(DraftTerms(7, 0.2)) == (4, 5, 6)
    assert sure.propose(DraftTerms(7, 0.6)) == (4,)
    assert sure.propose(DraftTerms(7, 0.99)) == ()
    assert unsure.propose(DraftTerms(7, 0.2)) == ()
    assert unsure.propose(DraftTerms(7, 0.2, 1)) == (4,)


@pytest.mark.parametrize(("period", "price"), [(7, 0.9), (5, 0.8)])
def test_it_learns_from_guesses_that_came_true(period: int, price: float) -> None:
    """Also from those that nobody paid for."""
    drafter = Drafter(range(period))
    for token in list(range(period)) * 6:
        drafter.propose(DraftTerms(3, 1.0))
        drafter.append(token)
    assert len(drafter.propose(DraftTerms(3, price))) >= 1


def test_it_learns_from_guesses_that_did_not() -> None:
    """What followed changes each time, so in the end nothing is guessed."""
    drafter = Drafter([1, 2, 3])
    for surprise in range(10, 40):
        for token in (surprise, 1, 2, 3):
            drafter.propose(DraftTerms(3, 0.3))
            drafter.append(token)
    assert drafter.propose(DraftTerms(3, 0.3)) == ()


@given(drafted=st.lists(st.integers(0, 2), max_size=5), said=st.lists(st.integers(0, 2), max_size=5))
def test_agreed_is_the_common_beginning(drafted: list[int], said: list[int]) -> None:
    """Of both, and no longer than either."""
    count = agreed(drafted, said)
    assert drafted[:count] == said[:count]
    assert count == min(len(drafted), len(said)) or drafted[count] != said[count]


def test_a_price_is_known_once_steps_were_timed() -> None:
    """Before, guesses are too dear; then the dearer the more streams there are, and never cheap."""
    pacer = PrefillPacer(PacingOptions())
    assert pacer.draft_price(1) == 1.0
    for _ in range(30):
        for decodes in (1, 4, 16):
            pacer.observe(decodes, 0, 0.010 + 0.002 * decodes)
    prices = [pacer.draft_price(decodes) for decodes in (1, 4, 16)]
    assert prices == pytest.approx([0.7, 0.85, 0.85], abs=0.04)


def rig(draft_tokens: int, pages: int = 256, *, headroom: int = 256) -> Rig:
    """A rig whose guesses cost nothing."""
    return Rig(
        ChainedBackend(pages, vocab_size=EOS + 1),
        SchedulerOptions(draft_tokens=draft_tokens, headroom_tokens=headroom, least_tokens=64),
        eos=EOS,
    )


def repetitive(key: str = "a", **changes: object) -> GenerationRequest:
    """A request whose answer is made of three tokens."""
    spec = request(key, [1, 2, 3, 1, 2, 1, 3, 3, 2, 1], max_tokens=120)
    sampling = SamplingParams(seed=ord(key), logit_bias=FEW, top_logprobs=1)
    return replace(spec, **({"sampling": sampling} | changes))  # type: ignore[arg-type]


def answers(driver: Rig, *specs: GenerationRequest) -> dict[tuple[str, int], Answer]:
    """All choices of requests that run side by side."""
    for spec in specs:
        driver.submit(spec)
    driver.run()
    assert driver.failed == []
    return driver.answers


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"choices": 3},
        {"stop_token_ids": (2,)},
        {"stop_token_ids": (2,), "min_tokens": 30},
        {"max_tokens": 1},
        {"max_tokens": 2},
        {"sampling": SamplingParams(temperature=0.0, logit_bias=FEW)},
        {"sampling": SamplingParams(seed=4, logit_bias=FEW, frequency_penalty=2.0, presence_penalty=-1.0)},
        {"sampling": SamplingParams(seed=4, logit_bias=FEW, repetition_penalty=1.5, top_logprobs=0)},
        {"prompt_logprobs": 1},
    ],
)
def test_answers_are_the_same_in_fewer_steps(changes: dict[str, object]) -> None:
    """Tokens, logprobs and ends; and guesses did come true."""
    with_drafts, without = rig(7), rig(0)
    spec = replace(repetitive(), **changes)  # type: ignore[arg-type]
    assert answers(with_drafts, spec) == answers(without, spec)
    counters = with_drafts.scheduler.counters
    assert counters.accepted_tokens <= counters.drafted_tokens
    assert counters.generated_tokens == without.scheduler.counters.generated_tokens
    assert without.scheduler.counters.drafted_tokens == 0
    if counters.generated_tokens > 100:
        assert with_drafts.backend.steps < without.backend.steps  # type: ignore[attr-defined]
        assert counters.accepted_tokens > 10


def test_beside_others_and_in_few_pages() -> None:
    """Preempted, forked and resumed: still the same."""
    specs = [repetitive(key, choices=1 + place % 2) for place, key in enumerate("abcdef")]
    crowded = rig(7, pages=64, headroom=1)
    assert answers(crowded, *specs) == answers(rig(0), *specs)
    assert crowded.scheduler.counters.preemptions > 0
    assert crowded.scheduler.counters.accepted_tokens > 10


def test_under_a_constraint() -> None:
    """A guess may be forbidden or foretell what is forced; logprobs or not."""
    constraint = Constraint("regex", "([abc]{4} and again ){20}")
    prompt = tuple(token_of(character) for character in "abca and again bcaa and again cabc")
    for sampling in (SamplingParams(seed=2), SamplingParams(seed=2, top_logprobs=1)):
        spec = repetitive(constraint=constraint, prompt=prompt, max_tokens=600, sampling=sampling)
        with_drafts = rig(7)
        assert answers(with_drafts, spec) == answers(rig(0), spec)
        assert with_drafts.scheduler.counters.accepted_tokens > 0


def test_a_guess_takes_no_page_from_anybody() -> None:
    """Where the pool has no page left it is not computed, rather than that another gives way."""
    driver = rig(7, pages=10, headroom=1)
    tight = [repetitive(key, max_tokens=9) for key in "ab"]
    assert answers(driver, *tight) == answers(rig(0), *tight)
    assert driver.scheduler.counters.preemptions == 0
