"""What Ray takes and gives with the real model: the same clients of the local engine and of replicas in turn.

`python -m bench.micro.ray_beside`, with Ray installed. All engines are loaded from the start and each is
used in each round, one after the other, so that other load on the machine meets all of them alike. Clients
talk to the engine's port: there is no HTTP. Compare within a round; the rates themselves are the machine's.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from itertools import count
from random import Random

import ray

from antiphon.assembly import replica_engine
from antiphon.config import Settings
from antiphon.core.generation import GenerationRequest, TokenDelta
from antiphon.core.ports import Engine
from antiphon.engine.backends.ray.client import RayEngine, RayOptions
from antiphon.telemetry.optout import silence_ray
from bench.micro.kept import keep

_MODEL = "smollm2-135m"
_CLIENTS = 8
_REQUESTS = 2
"""Of each client in a round."""
_PROMPT, _ANSWER = 60, 64
_ROUNDS = 8
_VOCABULARY = 49_000

_LOCAL, _RAY, _ONE, _TWO = (
    "local, 2 threads",
    "Ray, 1 of 2 threads",
    "Ray, 1 of 1 thread",
    "Ray, 2 of 1 thread",
)

_numbers = count()


def _replica(threads: int) -> partial[Engine]:
    settings = Settings(model=(_MODEL,), threads=threads, kv_cache_mib=256)
    return partial(replica_engine, settings, _MODEL)


def _engines() -> dict[str, Engine]:
    return {
        _LOCAL: _replica(2)(),
        _RAY: RayEngine(_replica(2), RayOptions("one-of-two", cpus=2)),
        _ONE: RayEngine(_replica(1), RayOptions("one-of-one", cpus=1)),
        _TWO: RayEngine(_replica(1), RayOptions("two-of-one", replicas=2, cpus=1)),
    }


@asynccontextmanager
async def _started(engines: dict[str, Engine]) -> AsyncIterator[None]:
    """Cores are Ray's to count, not to give: it is told of as many as all of the replicas ask for."""
    silence_ray()
    ray.init(address="local", num_cpus=5, include_dashboard=False, log_to_driver=False)
    async with AsyncExitStack() as stack:
        stack.callback(ray.shutdown)
        for engine in engines.values():
            await engine.start()
            stack.push_async_callback(engine.aclose)
        await _until_two(engines[_TWO])
        yield


async def _until_two(engine: Engine) -> None:
    assert isinstance(engine, RayEngine)
    while len(engine.replicas()) < 2:  # noqa: ASYNC110 - only asking tells
        await asyncio.sleep(0.2)


async def _client(engine: Engine, chance: Random, firsts: list[float]) -> int:
    """A client's answers, one after the other; the tokens of all of them."""
    tokens = 0
    for _ in range(_REQUESTS):
        prompt = tuple(chance.randrange(100, _VOCABULARY) for _ in range(_PROMPT))
        request = GenerationRequest(f"{next(_numbers):x}", prompt, _ANSWER, ignore_eos=True)
        sent, said = time.perf_counter(), 0
        async with aclosing(engine.generate(request)) as generation:
            async for event in generation:
                if isinstance(event, TokenDelta):
                    if not said:
                        firsts.append(time.perf_counter() - sent)
                    said += len(event.token_ids)
        tokens += said
    return tokens


async def _round(engine: Engine, seed: int) -> tuple[float, float]:
    """Tokens a second, and the median time to the first one."""
    firsts: list[float] = []
    began = time.perf_counter()
    counts = await asyncio.gather(
        *(_client(engine, Random(f"{seed} {place}"), firsts) for place in range(_CLIENTS))
    )
    return sum(counts) / (time.perf_counter() - began), statistics.median(firsts)


async def _measure(rounds: int) -> dict[str, object]:
    """Each pair that is compared stands side by side in each round, in turn either first."""
    engines = _engines()
    rates: dict[str, list[float]] = {arm: [] for arm in engines}
    firsts: dict[str, list[float]] = {arm: [] for arm in engines}
    async with _started(engines):
        for engine in engines.values():
            await _round(engine, -1)
        for number in range(rounds):
            order = list(engines) if number % 2 == 0 else list(engines)[::-1]
            for arm in order:
                rate, first = await _round(engines[arm], number)
                rates[arm].append(rate)
                firsts[arm].append(first)
    return {
        "clients": _CLIENTS,
        "prompt_tokens": _PROMPT,
        "answer_tokens": _ANSWER,
        "tokens_per_s": rates,
        "first_token_p50_s": firsts,
        "ray_beside_local": _ratio(rates[_RAY], rates[_LOCAL]),
        "two_replicas_beside_one": _ratio(rates[_TWO], rates[_ONE]),
        "two_of_one_thread_beside_one_of_two": _ratio(rates[_TWO], rates[_RAY]),
    }


def _ratio(rates: list[float], others: list[float]) -> dict[str, object]:
    """Of each round, so that what is slow for a while is slow for both."""
    ratios = [rate / other for rate, other in zip(rates, others, strict=True)]
    return {"median": statistics.median(ratios), "by_round": ratios}


def main() -> None:
    """Measure, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.micro.ray_beside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    found = asyncio.run(_measure(parser.parse_args().rounds))
    keep("ray-beside", "tokens a second at the engine's port, with and without Ray", found)


if __name__ == "__main__":
    main()
