"""Masks filled beside the forward pass and behind it, in turns in one process.

`python -m bench.micro.masks` runs the `json` workload at concurrency 8 on the bare engine loop. What a
token waits for its mask is what the loop counts: the rest of the filling when the model is done, and
the asking. Both ways draw the same answers.
"""

from typing import Any

from bench.cli import find_model
from bench.micro.jump_forward import Bench, centiles
from bench.micro.kept import keep

_ROUNDS = 4


def one_round(bench: Bench, *, ahead: bool) -> dict[str, Any]:
    """One run of the workload."""
    loop = bench.rig.loop
    begin = loop._masks.begin
    if not ahead:
        loop._masks.begin = lambda matchers: None  # type: ignore[method-assign]
    bench.masks_s.clear()
    masks_before, forward_before = loop.times.masks, loop.times.forward
    try:
        found = bench.round(jump_forward=True)
    finally:
        loop._masks.begin = begin  # type: ignore[method-assign]
    drawn = len(bench.masks_s)
    return found | {
        "ahead": ahead,
        "drawn": drawn,
        "waited_us_per_drawn_token": 1e6 * (loop.times.masks - masks_before) / drawn,
        "asked": centiles(bench.masks_s),
        "forward_s": loop.times.forward - forward_before,
    }


def main() -> None:
    """Warm up, measure in turns, keep."""
    bench = Bench(find_model("smollm2-135m"))
    bench.round(jump_forward=True)
    rounds = [one_round(bench, ahead=ahead) for _ in range(_ROUNDS) for ahead in (False, True)]
    keep("masks", "strict JSON, concurrency 8: masks filled behind and beside the forward pass", rounds)


if __name__ == "__main__":
    main()
