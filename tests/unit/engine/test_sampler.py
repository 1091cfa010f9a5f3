"""The sampler against a plain reference, and its distributions against expectation."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from antiphon.core.generation import SamplingParams
from antiphon.engine.sampler import History, adjust, draw, score, uniform

VOCAB = 1000


def logits(seed: int, size: int = VOCAB) -> NDArray[np.float32]:
    """A peaked row, as models make them."""
    return (np.random.default_rng(seed).normal(0, 4, size)).astype(np.float32)


def reference_probabilities(row: NDArray[np.float32], params: SamplingParams) -> NDArray[np.float64]:
    """Temperature, top-k, top-p, min-p as their definitions read, by sorting everything."""
    exact = row.astype(np.float64) / params.temperature
    probabilities = np.exp(exact - exact.max())
    order = np.argsort(-probabilities, kind="stable")
    keep = probabilities >= params.min_p * probabilities.max()
    if params.top_k:
        rank = np.empty(len(row), int)
        rank[[i for i in order if keep[i]]] = np.arange(keep.sum())
        keep &= rank < params.top_k
    if params.top_p < 1:
        kept = [i for i in order if keep[i]]
        held = np.cumsum(probabilities[kept])
        keep[kept[int(np.searchsorted(held, params.top_p * held[-1])) + 1 :]] = False
    probabilities[~keep] = 0
    shares: NDArray[np.float64] = probabilities / probabilities.sum()
    return shares


PARAMS = [
    SamplingParams(),
    SamplingParams(temperature=0.3),
    SamplingParams(temperature=2.0),
    SamplingParams(top_p=0.9),
    SamplingParams(top_p=0.05),
    SamplingParams(top_k=7),
    SamplingParams(min_p=0.2),
    SamplingParams(temperature=1.5, top_k=50, top_p=0.8, min_p=0.01),
]


@pytest.mark.parametrize("params", PARAMS)
def test_draw_inverts_the_reference_distribution(params: SamplingParams) -> None:
    """For any number the drawn token is the one whose slice of the running sum contains it."""
    for seed in range(20):
        row = logits(seed)
        running = np.cumsum(reference_probabilities(row, params))
        for number in np.linspace(0.001, 0.999, 37):
            nearest = {int(np.searchsorted(running, number + e, side="right")) for e in (-1e-5, 0, 1e-5)}

            assert draw(row, params, float(number)) in nearest


@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize("size", [256 * 110 + 7, 50_000])
def test_rows_of_whole_vocabularies_are_drawn_from_alike(params: SamplingParams, size: int) -> None:
    """Long rows take shortcuts by blocks, which short ones are too short for."""
    row = logits(size, size)
    running = np.cumsum(reference_probabilities(row, params))
    for number in np.linspace(0.001, 0.999, 37):
        places = [int(np.searchsorted(running, number + e, side="right")) for e in (-1e-5, 1e-5)]

        assert places[0] <= draw(row, params, float(number)) <= places[1]


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 40))
def test_top_alternatives_are_those_of_a_stable_sort(seed: int, top: int, levels: int) -> None:
    """With many equal logits, too, wherever in the row they are."""
    row = np.random.default_rng(seed).integers(-levels, levels, 11_000).astype(np.float32)
    expected = np.argsort(-row, kind="stable")[:top]

    assert [i for i, _ in score(row, 0, top).top] == expected.tolist()


@pytest.mark.parametrize("params", PARAMS)
def test_draws_follow_the_distribution(params: SamplingParams) -> None:
    """Chi-squared over 4,000 draws of one position of 4,000 seeds stays below its 99.9 % quantile."""
    row = logits(3, 40)
    expected = reference_probabilities(row, params) * 4000
    seen = Counter(draw(row, params, uniform(seed, 0, 5)) for seed in range(4000))
    large = [i for i in range(40) if expected[i] >= 5]
    rest = sum(expected[i] for i in range(40) if i not in large)
    statistic = sum((seen[i] - expected[i]) ** 2 / expected[i] for i in large)
    degrees = max(1, len(large) - 1)

    assert set(seen) <= {i for i in range(40) if expected[i] > 0}
    assert statistic < degrees + 3.1 * np.sqrt(2 * degrees) + 8 + rest


def test_zero_temperature_takes_the_likeliest_and_lowest_id() -> None:
    """Greedy, with ties broken towards the lower id."""
    row = np.array([1, 5, 5, 2], np.float32)

    assert draw(row, SamplingParams(temperature=0.0), 0.99) == 1


def test_zero_top_p_is_greedy() -> None:
    """The smallest nucleus holds one token."""
    assert draw(logits(1), SamplingParams(top_p=0.0), 0.99) == int(logits(1).argmax())


@given(st.integers(0, 50), st.floats(0, 1, exclude_max=True), st.sets(st.integers(0, VOCAB - 1), min_size=1))
def test_allowed_tokens_bound_the_draw(seed: int, number: float, allowed: set[int]) -> None:
    """A constraint's set is never left, whatever the parameters."""
    ids = np.array(sorted(allowed), np.intp)
    for params in PARAMS:
        assert draw(logits(seed), params, number, ids) in allowed


def test_a_fully_banned_choice_still_stays_inside_the_allowed_set() -> None:
    """When bans leave nothing of the allowed tokens, the constraint wins."""
    row = np.full(10, -np.inf, np.float32)

    assert draw(row, SamplingParams(), 0.5, np.array([4, 6])) == 4


@given(st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_extreme_temperatures_never_fail(seed: int, number: float) -> None:
    """Tiny and large temperatures give a token of the vocabulary."""
    for temperature in (1e-6, 1e-3, 2.0):
        assert 0 <= draw(logits(seed), SamplingParams(temperature=temperature), number) < VOCAB


def test_a_draw_ignores_its_neighbours_in_memory() -> None:
    """The same row inside a batch array and alone gives the same token."""
    rows = np.stack([logits(i) for i in range(5)])
    for i in range(5):
        assert draw(rows[i], SamplingParams(), 0.37) == draw(rows[i].copy(), SamplingParams(), 0.37)


def test_penalties_follow_the_published_formula() -> None:
    """logit - count * frequency - [count > 0] * presence, over generated tokens only."""
    row = np.zeros(6, np.float32)
    params = SamplingParams(frequency_penalty=0.5, presence_penalty=0.25)
    history = History(prompt=(1, 1, 1), counts={2: 3, 4: 1})

    assert adjust(row, params, history).tolist() == [0, 0, -1.75, 0, -0.75, 0]


def test_repetition_penalty_covers_the_prompt_too() -> None:
    """Positive logits are divided, negative ones multiplied."""
    row = np.array([2, -2, 2, 3], np.float32)
    history = History(prompt=(0, 1), counts={3: 2})

    assert adjust(row, SamplingParams(repetition_penalty=2.0), history).tolist() == [1, -4, 2, 1.5]


def test_bias_and_bans_leave_the_row_itself_alone() -> None:
    """Logprobs are scored on the raw row afterwards."""
    row = np.zeros(4, np.float32)
    adjusted = adjust(row, SamplingParams(logit_bias=((1, 7.0),)), History(), banned=[3])

    assert adjusted.tolist() == [0, 7, 0, -np.inf]
    assert row.tolist() == [0, 0, 0, 0]


def test_score_gives_log_softmax_and_the_best_alternatives() -> None:
    """Own logprob and the top ones, best first, lower ids first among equals."""
    row = np.array([0, 3, 1, 3], np.float32)
    exact = row - np.log(np.exp(row.astype(np.float64)).sum())
    result = score(row, 2, 3)

    assert result.logprob == pytest.approx(exact[2])
    assert [i for i, _ in result.top] == [1, 3, 2]
    assert [p for _, p in result.top] == pytest.approx([exact[1], exact[3], exact[2]])


def test_score_without_alternatives_has_none() -> None:
    """top_logprobs 0 gives the token's own probability only."""
    assert score(logits(1), 5, 0).top == ()


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 127), st.integers(0, 100_000))
def test_uniform_is_a_function_into_the_unit_interval(seed: int, choice: int, position: int) -> None:
    """Any seed works, the result is stable and below one."""
    number = uniform(seed, choice, position)

    assert 0 <= number < 1
    assert number == uniform(seed, choice, position)


def test_uniform_streams_of_choices_differ() -> None:
    """Choices of one request draw different numbers."""
    assert len({uniform(1, choice, 0) for choice in range(100)}) == 100
