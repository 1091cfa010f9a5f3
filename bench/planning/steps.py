"""How long a step of the engine takes, fitted to what the micro-benchmarks measured.

A step costs a base, something for each decoding sequence and something for each prompt token: the shape
that the engine's own pacer fits while it runs (`antiphon.engine.pacing`). How far back a token looks is
not apart: it is in these costs as it was in what was measured, a few hundred tokens.
"""

from dataclasses import dataclass

import numpy as np

from bench.micro.found import Micro
from bench.micro.steps import PREFILL_TOKENS

_CHUNK = 512
"""Prompt tokens of a step when nothing decodes, at the most; see `antiphon.engine.pacing`."""


@dataclass(frozen=True, slots=True)
class StepTimes:
    """All in seconds."""

    base: float
    per_decode: float
    per_prompt_token: float

    def seconds(self, decodes: int, prompt_tokens: int) -> float:
        """How long a step takes that decodes for so many sequences beside so many prompt tokens."""
        return self.base + self.per_decode * decodes + self.per_prompt_token * prompt_tokens

    def slower(self, factor: float) -> "StepTimes":
        """A machine, or a model, that takes so many times as long for everything."""
        return StepTimes(factor * self.base, factor * self.per_decode, factor * self.per_prompt_token)


def fit(micro: Micro) -> StepTimes:
    """The line through the decode steps that has the least relative error; prompt tokens cost the rest."""
    batches = np.array([decode.batch for decode in micro.decode], np.float64)
    seconds = np.array([decode.step_s for decode in micro.decode])
    features = np.stack([np.ones_like(batches), batches], axis=1) / seconds[:, None]
    (base, per_decode), *_ = np.linalg.lstsq(features, np.ones_like(seconds), rcond=None)
    chunks = -(-PREFILL_TOKENS // _CHUNK)
    prefill = PREFILL_TOKENS / micro.prefill_tokens_per_s - chunks * base
    return StepTimes(float(base), float(per_decode), float(prefill / PREFILL_TOKENS))
