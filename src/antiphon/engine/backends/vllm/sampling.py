"""Our sampling in vLLM's words, the same for its `SamplingParams` and for its HTTP API.

Everything is said, so that no default of vLLM's or of the model's generation config comes in. Ending
tokens are all given as stop tokens: which ones they are is ours to say.

What is not exact: a temperature below 0.01 is taken for 0.01, and one below 0.00001 for 0.

Source: `vllm/sampling_params.py` and `vllm/v1/sample/sampler.py` of vLLM 0.32, whose order (bias,
penalties, temperature, min-p, top-k, top-p) and whose formulas are those of `engine.sampler`.
"""

import hashlib
import struct
from typing import Any

from antiphon.core.generation import GenerationRequest


def ending_tokens(request: GenerationRequest, eos_token_ids: tuple[int, ...]) -> frozenset[int]:
    """The tokens that end a choice and are not delivered; a held answer ends however it was asked for."""
    stops = frozenset(request.stop_token_ids)
    return stops if request.ignore_eos and request.constraint is None else stops | frozenset(eos_token_ids)


def sampling_of(request: GenerationRequest, choice: int, eos_token_ids: tuple[int, ...]) -> dict[str, Any]:
    """Parameters for one choice of a request."""
    params = request.sampling
    greedy = params.temperature == 0.0 or params.top_p == 0.0 or params.top_k == 1
    return {
        "max_tokens": max(1, request.max_tokens),  # vLLM draws at least one
        "min_tokens": min(request.min_tokens, max(1, request.max_tokens)),
        "temperature": 0.0 if greedy else params.temperature,
        "top_p": 1.0 if greedy else params.top_p,
        "top_k": 0 if greedy else params.top_k,
        "min_p": 0.0 if greedy else params.min_p,
        "frequency_penalty": params.frequency_penalty,
        "presence_penalty": params.presence_penalty,
        "repetition_penalty": params.repetition_penalty,
        "logit_bias": dict(params.logit_bias) or None,
        "seed": seed_of(params.seed, choice),
        "logprobs": params.top_logprobs,
        "ignore_eos": True,
        "stop_token_ids": sorted(ending_tokens(request, eos_token_ids)),
    }


def seed_of(seed: int, choice: int) -> int:
    """The seed of one choice: 63 bits, never one of those that vLLM takes for none."""
    digest = hashlib.blake2b(struct.pack("<qq", seed, choice), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
