"""Our sampling in vLLM's words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.generation import Constraint, GenerationRequest, SamplingParams
from antiphon.engine.backends.vllm.sampling import sampling_of, seed_of

EOS = (2, 7)
ANY = Constraint("regex", "a")


def asked(**changes: Any) -> GenerationRequest:
    """A request with some fields set."""
    return GenerationRequest("id", (1, 2, 3), max_tokens=10, **changes)


def test_every_parameter_is_said() -> None:
    """Under vLLM's names; defaults of a server or a model have no say."""
    params = SamplingParams(
        temperature=0.7,
        top_p=0.9,
        top_k=40,
        min_p=0.05,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        repetition_penalty=1.1,
        logit_bias=((5, -100.0), (6, 1.5)),
        seed=3,
        top_logprobs=4,
    )

    assert sampling_of(asked(sampling=params, min_tokens=4), 0, EOS) == {
        "max_tokens": 10,
        "min_tokens": 4,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "repetition_penalty": 1.1,
        "logit_bias": {5: -100.0, 6: 1.5},
        "seed": seed_of(3, 0),
        "logprobs": 4,
        "ignore_eos": True,
        "stop_token_ids": [2, 7],
    }


@pytest.mark.parametrize("change", [{"temperature": 0.0}, {"top_p": 0.0}, {"top_k": 1}])
def test_whatever_leaves_one_token_is_greedy(change: dict[str, Any]) -> None:
    """vLLM takes no top_p of 0."""
    said = sampling_of(asked(sampling=SamplingParams(**change)), 0, EOS)

    assert (said["temperature"], said["top_p"], said["top_k"]) == (0.0, 1.0, 0)


def test_endings_are_those_of_the_request() -> None:
    """Its own stop tokens always; end-of-sequence unless ignored, which a held answer cannot do."""
    assert sampling_of(asked(stop_token_ids=(9,)), 0, EOS)["stop_token_ids"] == [2, 7, 9]
    assert sampling_of(asked(stop_token_ids=(9,), ignore_eos=True), 0, EOS)["stop_token_ids"] == [9]
    assert sampling_of(asked(ignore_eos=True, constraint=ANY), 0, EOS)["stop_token_ids"] == [2, 7]


def test_minimum_is_within_the_budget() -> None:
    """vLLM refuses another one."""
    assert sampling_of(asked(min_tokens=99), 0, EOS)["min_tokens"] == 10


@given(seed=st.integers(-(2**63), 2**63 - 1), choice=st.integers(0, 127))
def test_seeds_are_numbers_that_vllm_takes(seed: int, choice: int) -> None:
    """-1 would mean none."""
    assert 0 <= seed_of(seed, choice) < 2**63
    assert seed_of(seed, choice) != seed_of(seed, choice + 1)
