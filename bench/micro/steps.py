"""Steps of the engine's loop: decode at several batch sizes, and prefill of one long prompt.

Times are of whole steps: plan, forward, draw. Prompts differ, so the prefix cache finds nothing.
"""

import statistics
import time
from collections.abc import Sequence
from random import Random

from antiphon.engine.loop import Emitted
from bench.micro.found import Decode
from bench.micro.rig import Rig, request

PROMPT_TOKENS = 256
PREFILL_TOKENS = 1024
_STEPS = 48
_PREFILLS = 3


def measure_decode(rig: Rig, batches: Sequence[int], chance: Random) -> list[Decode]:
    """One figure for each batch size."""
    return [_decode(rig, batch, chance) for batch in batches]


def _decode(rig: Rig, batch: int, chance: Random) -> Decode:
    for _ in range(batch):
        rig.loop.submit(request(_tokens(rig, chance, PROMPT_TOKENS), 4 * PROMPT_TOKENS), [])
    begun: set[str] = set()
    while len(begun) < batch:
        begun |= {outcome.key for outcome in rig.loop.step() if isinstance(outcome, Emitted)}
    rig.backend.forward_s = 0.0
    times = [_timed_step(rig) for _ in range(_STEPS)]
    forward = rig.backend.forward_s
    for key in begun:
        rig.loop.cancel(key)
    median = statistics.median(times)
    return Decode(batch, median, batch / median, forward / sum(times))


def measure_prefill(rig: Rig, chance: Random) -> float:
    """Prompt tokens per second, the median of a few prompts run alone."""
    return statistics.median(_prefill(rig, chance) for _ in range(_PREFILLS))


def _prefill(rig: Rig, chance: Random) -> float:
    spec = request(_tokens(rig, chance, PREFILL_TOKENS), 1)
    rig.loop.submit(spec, [])
    began = time.perf_counter()
    while rig.loop.active:
        rig.loop.step()
    return PREFILL_TOKENS / (time.perf_counter() - began)


def _timed_step(rig: Rig) -> float:
    began = time.perf_counter()
    rig.loop.step()
    return time.perf_counter() - began


def _tokens(rig: Rig, chance: Random, count: int) -> list[int]:
    """Ids from the middle of the vocabulary, where no control token is."""
    size = rig.backend.vocab_size
    return [chance.randrange(size // 4, size // 2) for _ in range(count)]
