"""Shares of the machine's limits."""

import pytest

from bench.micro.found import Decode, Limits, Micro, ModelWork, Sampling

LIMITS = Limits(read_bytes=1e9, copy_bytes=2e9, bf16_operations=1e12, f32_operations=5e11)
WORK = ModelWork(weight_bytes=10_000_000, operations_per_token=100_000_000, operations_per_row=100_000_000)


def test_small_steps_are_bound_by_memory_and_large_ones_by_arithmetic() -> None:
    """The slower of the two bounds a step."""
    assert WORK.best_step_s(1, 1, LIMITS) == pytest.approx(0.005)
    assert WORK.best_step_s(100, 100, LIMITS) == pytest.approx(0.02)


def test_shares_compare_what_was_measured_with_the_bound() -> None:
    """Twice the bound's time is half of it reached."""
    decode = Decode(batch=16, step_s=0.01, tokens_per_s=1600.0, forward_share=0.9)
    sampling = Sampling(100, "flat", "greedy", 0.001)
    micro = Micro(LIMITS, WORK, [decode], prefill_tokens_per_s=5000.0, sampling=[sampling])
    assert micro.decode_share(decode) == pytest.approx(0.5)
    assert micro.prefill_share == pytest.approx(0.5)
    assert micro.step_share(sampling) == pytest.approx(0.1)
