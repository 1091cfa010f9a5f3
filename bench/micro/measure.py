"""All micro-benchmarks in one process: `python -m bench.micro.measure REQUEST`, JSON in, JSON out."""

import sys
from random import Random

import msgspec

from bench.micro.found import BATCHES, Asked, Micro
from bench.micro.limits import measure_limits, model_work
from bench.micro.rig import make_rig
from bench.micro.sampling import measure_sampling
from bench.micro.steps import measure_decode, measure_prefill


def measure(asked: Asked) -> Micro:
    """Limits first, then the engine, then the sampler alone."""
    limits = measure_limits(asked.threads)
    rig = make_rig(asked.model, asked.threads)
    chance = Random(0)
    measure_prefill(rig, chance)  # the first steps of each shape are slower: kernels are chosen then
    measure_decode(rig, BATCHES, chance)
    return Micro(
        limits=limits,
        work=model_work(asked.model.folder),
        decode=measure_decode(rig, BATCHES, chance),
        prefill_tokens_per_s=measure_prefill(rig, chance),
        sampling=measure_sampling(),
    )


def main(text: str) -> None:
    """Measure and print."""
    asked = msgspec.json.decode(text, type=Asked, dec_hook=lambda kind, text: kind(text))
    sys.stdout.buffer.write(msgspec.json.encode(measure(asked)))


if __name__ == "__main__":
    main(sys.argv[1])
