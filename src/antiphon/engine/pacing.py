"""How many prompt tokens may run beside decoding sequences without holding their streams up.

A step costs about `base + per_decode * decodes + per_prompt * prompt tokens` seconds. The three are
tracked over the steps seen, so that it suits any model and machine without a setting.

They are tracked by a Kalman filter and not by a fit over recent steps, because recent steps are often
all alike: eight streams beside a long prompt for a minute. A fit then moves cost at will from one
coefficient to another. The filter knows what drifts: where prompt tokens are computed it is their
cost, which grows with what is before them, and what decoding costs is learned from other steps. So
that there are some, prompts pause for a step now and then.

Chunk sizes never change what is computed (see docs/decisions/0003), only when.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

_GUESS_S: Final = np.array([0.02, 0.005, 0.002])
"""What the three may be, within a factor of some tens, before any step was timed."""
_GUESS_SPREAD: Final = 30.0
_DECODING_DRIFT: Final = np.array([0.1, 0.1, 0.0])
"""By which part of itself each changes from one step to the next, where there are no prompt tokens."""
_PROMPT_DRIFT: Final = np.array([0.001, 0.001, 0.15])
"""The same where there are."""
_FLOOR: Final = 0.01
"""What has come near zero drifts as if it were this part of the guess."""
_NOISE: Final = 0.1
"""By which part of itself a step's time varies for no reason."""
_SURPRISE: Final = 1.0
"""A step that took longer than foreseen by more than this part of it tells of the machine's other work."""
_LEAST_DRAFT_PRICE: Final = 0.7
_LEAST_DRAFT_PRICE_BESIDE: Final = 0.85
"""Drafts make steps differ in size, and each such change takes an inference library some milliseconds;
beside others, everybody's."""
_PAUSE_EVERY: Final = 16
"""Steps with prompt tokens in a row, after which one goes without."""
_KEPT: Final = (0.7, 1.1)
"""Beside a long prompt the number of the last step stays between these multiples of what would be right."""


@dataclass(frozen=True, slots=True)
class PacingOptions:
    """Bounds of a step's prompt tokens."""

    alone: int = 512
    """When nothing decodes, at the most."""
    longest_s: float = 2.0
    """When nothing decodes, a step should not take longer: the engine hears nothing meanwhile."""
    first: int = 48
    """Beside decoding sequences, before any step was timed."""
    least: int = 4
    """Prompts advance by this much, except in a pause."""
    stretch: float = 1.3
    """Prompt tokens may lengthen a decoding step by this multiple of what it takes without them."""
    long: int = 2048
    """Tokens of a prompt that is computed for so many steps that each is to hold the streams up less."""
    stretch_long: float = 0.6
    """As `stretch`, where one of the prompts is long. Less would bring little: behind thousands of tokens
    even a few take longer than that."""


class PrefillPacer:
    """Tracks the cost of steps and sizes the next one."""

    def __init__(self, options: PacingOptions) -> None:
        self._options = options
        self._costs = np.zeros(3)
        self._covariance = np.diag((_GUESS_SPREAD * _GUESS_S) ** 2)
        self._steps = 0
        self._mixed = 0
        self._beside = 0
        """Prompt tokens that were last allowed beside decoding sequences, where a prompt was long."""

    def observe(self, decodes: int, prompt_tokens: int, seconds: float) -> None:
        """A step of this make-up took this long."""
        features = np.array([1.0, decodes, prompt_tokens])
        foreseen = float(features @ self._costs)
        self._mixed = self._mixed + 1 if decodes and prompt_tokens else 0
        drift = _PROMPT_DRIFT if prompt_tokens else _DECODING_DRIFT
        self._covariance += np.diag((drift * np.maximum(np.abs(self._costs), _FLOOR * _GUESS_S)) ** 2)
        spread = self._covariance @ features
        # Not of the time it took alone: short steps would be trusted more than long ones.
        noise = _NOISE * max(foreseen, seconds)
        gain = spread / (features @ spread + noise**2)
        surprise = seconds - foreseen
        if self._steps > len(_GUESS_S):
            surprise = min(surprise, _SURPRISE * max(foreseen, 0.0))
        # One of them may well be negative while little is known: cut off, their sum would be wrong.
        self._costs += gain * surprise
        self._covariance -= np.outer(gain, spread)
        self._steps += 1

    def draft_price(self, decodes: int) -> float:
        """What one more token costs beside this many, as a part of what each of these is worth: 0 to 1."""
        base, per_decode, _ = self._costs
        step = base + per_decode * decodes
        if self._steps < len(_GUESS_S) or step <= 0:
            return 1.0
        least = _LEAST_DRAFT_PRICE if decodes == 1 else _LEAST_DRAFT_PRICE_BESIDE
        return min(1.0, max(least, float(per_decode * decodes / step)))

    def prompt_tokens(self, decodes: int, longest: int = 0) -> int:
        """Prompt tokens that the next step may compute beside this many decoding sequences; rarely 0.

        `longest` is the number of tokens, found ones aside, of the longest of the prompts.
        """
        options = self._options
        if decodes and self._mixed >= _PAUSE_EVERY:
            return 0
        base, per_decode, per_prompt = self._costs
        decoding = base + per_decode * decodes
        if self._steps < len(_GUESS_S) or decoding <= 0 or per_prompt <= 0:
            return options.first if decodes else options.alone
        is_long = longest >= options.long
        stretch = options.stretch_long if is_long else options.stretch
        seconds = stretch * decoding if decodes else options.longest_s
        right = float(np.clip(seconds / per_prompt, options.least, options.alone))
        return self._steadied(right) if decodes and is_long else int(right)

    def _steadied(self, right: float) -> int:
        """Each change of a step's size takes an inference library some milliseconds."""
        low, high = _KEPT
        if not low * right <= self._beside <= high * right:
            self._beside = int(right)
        return self._beside
