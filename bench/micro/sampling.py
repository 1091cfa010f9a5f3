"""What drawing costs: 16 rows a step, for vocabularies of three families of models.

The rows are made up in two shapes, since the cost of top-p grows with how thin the weight is spread.
"""

import statistics
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from antiphon.core.generation import SamplingParams
from antiphon.engine import sampler
from antiphon.engine.backend import Logits
from bench.micro.found import SAMPLED_ROWS, Sampling

VOCABULARIES: Final = (49_152, 151_936, 262_144)
_PARAMETERS: Final[Mapping[str, SamplingParams]] = MappingProxyType(
    {
        "greedy": SamplingParams(temperature=0.0),
        "temperature 1": SamplingParams(temperature=1.0),
        "top-p 0.95": SamplingParams(temperature=1.0, top_p=0.95),
        "top-k 40": SamplingParams(temperature=1.0, top_k=40),
        "20 top logprobs": SamplingParams(temperature=1.0, top_logprobs=20),
    }
)
_TRIES: Final = 15


def measure_sampling() -> list[Sampling]:
    """Every vocabulary and shape of rows with every way of drawing."""
    return [
        Sampling(size, shape, name, _seconds(rows, params))
        for size in VOCABULARIES
        for shape, rows in (("peaked", _peaked(size)), ("flat", _flat(size)))
        for name, params in _PARAMETERS.items()
    ]


def _peaked(size: int) -> Logits:
    """Zipf's law with exponent 1.5: the likeliest token has 38 % of the weight, the first 150 have 94 %."""
    ranks = np.arange(1, size + 1)
    chance = np.random.default_rng(size)
    rows = [-1.5 * np.log(chance.permutation(ranks)) for _ in range(SAMPLED_ROWS)]
    return np.array(rows, np.float32)


def _flat(size: int) -> Logits:
    """Normally distributed logits: the likeliest token has a few percent, thousands share the rest."""
    return (np.random.default_rng(size).standard_normal((SAMPLED_ROWS, size)) * 3).astype(np.float32)


def _seconds(rows: Logits, params: SamplingParams) -> float:
    times = []
    for turn in range(_TRIES):
        began = time.perf_counter()
        for place, row in enumerate(rows):
            token = sampler.draw(row, params, sampler.uniform(turn, place, 0))
            if params.top_logprobs is not None:
                sampler.score(row, token, params.top_logprobs)
        times.append(time.perf_counter() - began)
    return statistics.median(times)
