"""Pacing: the fitted cost of steps and the chunk sizes that follow from it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from antiphon.engine.pacing import PacingOptions, PrefillPacer

OPTIONS = PacingOptions(alone=512, first=48, least=16, stretch=1.5, stretch_long=0.6)


def cost(decodes: int, prompt_tokens: int) -> float:
    """A machine: 8 ms a step, 1 ms a decode, 0.5 ms a prompt token."""
    return 0.008 + 0.001 * decodes + 0.0005 * prompt_tokens


def trained(noise: float = 0.0) -> PrefillPacer:
    """A pacer that has seen a hundred mixed steps of that machine, and one without a prompt."""
    random = np.random.default_rng(0)
    pacer = PrefillPacer(OPTIONS)
    for _ in range(100):
        decodes, prompt_tokens = int(random.integers(0, 33)), int(random.integers(0, 100))
        pacer.observe(decodes, prompt_tokens, cost(decodes, prompt_tokens) + random.normal(0, noise))
    pacer.observe(8, 0, cost(8, 0))
    return pacer


@pytest.mark.parametrize("decodes", [1, 8, 32])
def test_prompt_tokens_stretch_a_step_by_the_given_multiple(decodes: int) -> None:
    """Once fitted, the chunk costs 1.5 times what the decoding sequences cost."""
    chunk = trained().prompt_tokens(decodes)

    assert chunk * 0.0005 == pytest.approx(1.5 * cost(decodes, 0), rel=0.05)


def test_long_prompt_holds_streams_up_less() -> None:
    """Its chunks take their own part of what the streams take; without streams it has all of a step."""
    pacer = trained()

    assert pacer.prompt_tokens(8, OPTIONS.long - 1) == pacer.prompt_tokens(8)
    assert pacer.prompt_tokens(8, OPTIONS.long) * 0.0005 == pytest.approx(0.6 * cost(8, 0), rel=0.05)
    assert pacer.prompt_tokens(0, OPTIONS.long) == OPTIONS.alone


def test_chunks_of_a_long_prompt_keep_their_size_where_it_is_about_right() -> None:
    """Steps of one size are cheaper: a little noise moves nothing, a cost that grows does."""
    pacer, sizes = trained(), []
    random = np.random.default_rng(1)
    for step in range(60):
        sizes.append(pacer.prompt_tokens(8, OPTIONS.long))
        pacer.observe(8, sizes[-1], cost(8, sizes[-1]) * (1 + 0.02 * step + random.normal(0, 0.02)))
    changes = sum(a != b for a, b in pairwise(sizes) if a and b)

    assert changes <= 10
    assert 0 < sizes[-2] < sizes[0]


def test_noise_moves_chunks_little() -> None:
    """With a millisecond of noise a step, chunks stay within a third."""
    assert trained(0.001).prompt_tokens(8) == pytest.approx(trained().prompt_tokens(8), rel=0.34)


def test_nothing_decoding_takes_the_full_chunk() -> None:
    """There is no stream to hold up."""
    assert trained().prompt_tokens(0) == OPTIONS.alone


def test_slow_machine_takes_smaller_chunks_alone_too() -> None:
    """Where 512 prompt tokens would take minutes, a step is kept to two seconds."""
    pacer = PrefillPacer(OPTIONS)
    for tokens in (64, 64, 32, 1):
        pacer.observe(0, tokens, 0.01 + 0.1 * tokens)

    assert pacer.prompt_tokens(0) == pytest.approx(20, abs=2)


def test_untimed_steps_use_the_first_guess() -> None:
    """Before anything was measured the size is fixed."""
    assert PrefillPacer(OPTIONS).prompt_tokens(4) == OPTIONS.first


def test_hours_of_equal_steps_keep_the_fit_usable() -> None:
    """A long run of decode-only steps must not make the next chunks wild."""
    pacer = trained()
    for _ in range(50_000):
        pacer.observe(8, 0, cost(8, 0))

    assert OPTIONS.least <= pacer.prompt_tokens(8) <= OPTIONS.alone
    assert pacer.prompt_tokens(8) * 0.0005 == pytest.approx(1.5 * cost(8, 0), rel=0.1)


def seconds_of(decodes: int, chunk: int, position: int) -> float:
    """A machine where a prompt token costs the more, the more are before it."""
    return 0.03 + 0.001 * decodes + chunk * (0.0016 + 1e-6 * position)


def ratios_beside_streams(seed: int, slower_from: int = 1 << 30) -> list[float]:
    """How much longer steps took than without the 7,000 prompt tokens that are computed beside 8 streams.

    Nothing but the filter's own notion tells base, decodes and prompt tokens apart here. The machine
    is noisy and, from a position on, three times as slow.
    """
    random = np.random.default_rng(seed)
    pacer, position, ratios = PrefillPacer(replace(OPTIONS, least=4)), 0, []
    for decodes, tokens in ((0, 60), (1, 0), (8, 0), (8, 0), (8, 0)):
        pacer.observe(decodes, tokens, seconds_of(decodes, tokens, 0))
    while position < 7000:
        chunk = pacer.prompt_tokens(8)
        seconds = seconds_of(8, chunk, position)
        taken = seconds * random.normal(1, 0.05) * (3 if random.random() < 0.01 else 1)
        pacer.observe(8, chunk, taken * (3 if position >= slower_from else 1))
        position += chunk
        if chunk:
            ratios.append(seconds / seconds_of(8, 0, 0))
    return ratios


@pytest.mark.parametrize("seed", range(5))
def test_long_prompt_lengthens_steps_by_no_more_than_it_may(seed: int) -> None:
    """By 1.5 times what they take, to the last token."""
    ratios = ratios_beside_streams(seed)

    assert np.median(ratios[10:]) == pytest.approx(2.5, rel=0.15)
    assert max(ratios[10:]) < 3.3


@pytest.mark.parametrize("seed", range(5))
def test_machine_that_slows_down_is_not_blamed_on_the_prompt(seed: int) -> None:
    """Decoding has become as much slower: chunks are soon as large as before."""
    steady, slowed = ratios_beside_streams(seed), ratios_beside_streams(seed, slower_from=3000)

    assert np.median(slowed[-100:]) == pytest.approx(np.median(steady[-100:]), rel=0.2)


def test_prompts_pause_beside_streams_only() -> None:
    """One step in seventeen shows what decoding costs; a prompt alone goes on."""
    pacer = trained()
    for _ in range(16):
        assert pacer.prompt_tokens(8) > 0
        pacer.observe(8, 40, cost(8, 40))

    assert pacer.prompt_tokens(8) == 0
    assert pacer.prompt_tokens(0) == OPTIONS.alone
    pacer.observe(8, 0, cost(8, 0))
    assert pacer.prompt_tokens(8) > 0
