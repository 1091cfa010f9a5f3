"""How long streams wait for their next token while a long prompt is computed beside them.

`python -m bench.micro.stall` runs eight streams on the bare engine loop, then adds a prompt of nine
tenths of the context, and keeps the gaps between steps before, during and behind it. The streams all
speak with every step, so a step is a gap. What is usual grows while they do, for their own contexts
grow: each gap beside the prompt is compared with what lies between the usual ones before and behind.
"""

import time
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.models.catalogue import DEFAULT_MODEL
from antiphon.models.folder import describe_folder
from bench.cli import find_model
from bench.micro.kept import keep
from bench.micro.rig import Rig, make_rig, request

_THREADS = 2
_STREAMS = 8
_USUAL_STEPS = 60
_SETTLING_STEPS = 10
_STREAM_TOKENS = 3000
_PROMPT_SHARE = 0.9
_PLAIN_TOKENS = range(1000, 40_000)


def main() -> None:
    """Measure once, show and keep."""
    model = find_model(DEFAULT_MODEL)
    context = describe_folder(model.folder, model.spec, model.digest).context_length
    about = "Gaps between tokens of eight streams, without and beside a prompt of 90 % of the context."
    keep("stall", about, measure(make_rig(model, _THREADS), int(context * _PROMPT_SHARE)))


def measure(rig: Rig, prompt_tokens: int) -> dict[str, Any]:
    """Milliseconds of the gaps, usual and beside the prompt, and how long the prompt took."""
    chance, loop = Random(0), rig.loop
    for _ in range(_STREAMS):
        loop.submit(request(chance.choices(_PLAIN_TOKENS, k=30), _STREAM_TOKENS), [])
    before = [_step(rig) for _ in range(_SETTLING_STEPS + _USUAL_STEPS)][_SETTLING_STEPS:]
    long = request(chance.choices(_PLAIN_TOKENS, k=prompt_tokens), 1)
    loop.submit(long, [])
    beside: list[float] = []
    while rig.is_running(long.id):
        beside.append(_step(rig))
    behind = [_step(rig) for _ in range(_USUAL_STEPS)]
    ratios = np.array(beside) / np.linspace(np.median(before), np.median(behind), len(beside))
    return {
        "streams": _STREAMS,
        "prompt_tokens": prompt_tokens,
        "prompt_s": round(sum(beside), 2),
        "before_ms": _spread(np.array(before) * 1000),
        "beside_ms": _spread(np.array(beside) * 1000),
        "behind_ms": _spread(np.array(behind) * 1000),
        "times_the_usual": _spread(ratios),
    }


def _step(rig: Rig) -> float:
    began = time.perf_counter()
    rig.loop.step()
    return time.perf_counter() - began


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    quantiles = {f"p{q}": round(float(np.percentile(values, q)), 2) for q in (50, 90, 99)}
    return {**quantiles, "max": round(float(values.max()), 2)}


if __name__ == "__main__":
    main()
