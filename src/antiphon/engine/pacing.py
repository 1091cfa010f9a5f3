"""How many prompt tokens may run beside decoding sequences without holding their streams up.

A step costs about `base + per_decode * decodes + per_prompt * prompt tokens` seconds. The three are
fitted to the steps seen, the older the less they count, so that it suits any model and machine
without a setting.

Chunk sizes never change what is computed (see docs/decisions/0003), only when.
"""

from dataclasses import dataclass

import numpy as np

_FORGETTING = 0.98
"""Weight of a step relative to the one after it: about the last fifty count."""
_UNCERTAIN = 1e6


@dataclass(frozen=True, slots=True)
class PacingOptions:
    """Bounds of a step's prompt tokens."""

    alone: int = 512
    """When nothing decodes, at the most."""
    longest_s: float = 2.0
    """When nothing decodes, a step should not take longer: the engine hears nothing meanwhile."""
    first: int = 48
    """Beside decoding sequences, before any step was timed."""
    least: int = 16
    """Prompts always advance by this much."""
    stretch: float = 2.0
    """Prompt tokens may lengthen a decoding step by this multiple of what it takes without them."""


class PrefillPacer:
    """Fits the cost of steps by recursive least squares and sizes the next one."""

    def __init__(self, options: PacingOptions) -> None:
        self._options = options
        self._costs = np.zeros(3)
        self._covariance = np.eye(3) * _UNCERTAIN
        self._steps = 0

    def observe(self, decodes: int, prompt_tokens: int, seconds: float) -> None:
        """A step of this make-up took this long."""
        features = np.array([1.0, decodes, prompt_tokens])
        spread = self._covariance @ features
        gain = spread / (_FORGETTING + features @ spread)
        self._costs += gain * (seconds - features @ self._costs)
        self._covariance = (self._covariance - np.outer(gain, spread)) / _FORGETTING
        # Without variety in the steps, forgetting would let the uncertainty grow without bound.
        if np.trace(self._covariance) > 3 * _UNCERTAIN:
            self._covariance = np.eye(3) * _UNCERTAIN
        self._steps += 1

    def prompt_tokens(self, decodes: int) -> int:
        """Prompt tokens that the next step may compute beside this many decoding sequences."""
        options = self._options
        base, per_decode, per_prompt = self._costs
        decoding = base + per_decode * decodes
        if self._steps < 3 or decoding <= 0 or per_prompt <= 0:
            return options.first if decodes else options.alone
        seconds = options.stretch * decoding if decodes else options.longest_s
        return int(np.clip(seconds / per_prompt, options.least, options.alone))
