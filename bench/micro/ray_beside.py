"""What Ray takes and gives with the real model: the same clients of the local engine and of replicas in turn.

`python -m bench.micro.ray_beside`, with Ray installed. The two engines of a pair, and no others, are loaded
from the start and each is used in each round, one after the other, so that other load on the machine meets
both alike. Clients talk to the engine's port: there is no HTTP. Compare within a round; the rates themselves
are the machine's.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from itertools import count
from random import Random

import ray

from antiphon.assembly import replica_engine
from antiphon.core.generation import GenerationRequest, TokenDelta
from antiphon.core.ports import Engine
from antiphon.engine.backends.ray.client import RayEngine
from antiphon.engine.backends.ray.membership import RayOptions
from antiphon.settings import Settings
from antiphon.telemetry.optout import silence_ray
from bench.micro.kept import keep

_MODEL = "smollm2-135m"
_CLIENTS = 8
_REQUESTS = 4
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


_ENGINES: dict[str, Callable[[], Engine]] = {
    _LOCAL: lambda: _replica(2)(),
    _RAY: lambda: RayEngine(_replica(2), RayOptions("one-of-two", cpus=2)),
    _ONE: lambda: RayEngine(_replica(1), RayOptions("one-of-one", cpus=1)),
    _TWO: lambda: RayEngine(_replica(1), RayOptions("two-of-one", replicas=2, cpus=1)),
}
_PAIRS = {
    "ray_beside_local": (_RAY, _LOCAL),
    "two_replicas_beside_one": (_TWO, _ONE),
    "two_of_one_thread_beside_one_of_two": (_TWO, _RAY),
}


@asynccontextmanager
async def _started(arms: tuple[str, ...]) -> AsyncIterator[dict[str, Engine]]:
    """Cores are Ray's to count, not to give: it is told of as many as the replicas of any pair ask for."""
    silence_ray()
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    async with AsyncExitStack() as stack:
        stack.callback(ray.shutdown)
        engines = {arm: _ENGINES[arm]() for arm in arms}
        for engine in engines.values():
            await engine.start()
            stack.push_async_callback(engine.aclose)
        if _TWO in engines:
            await _until_two(engines[_TWO])
        yield engines


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


async def _pair(arms: tuple[str, str], rounds: int) -> dict[str, object]:
    """Two engines in turn, either first; their ratio is of each round: what is slow is slow for both."""
    rates: dict[str, list[float]] = {arm: [] for arm in arms}
    firsts: dict[str, list[float]] = {arm: [] for arm in arms}
    async with _started(arms) as engines:
        for engine in engines.values():
            await _round(engine, -1)
        for number in range(rounds):
            for arm in arms if number % 2 == 0 else arms[::-1]:
                rate, first = await _round(engines[arm], number)
                rates[arm].append(rate)
                firsts[arm].append(first)
    ratios = [rate / other for rate, other in zip(*(rates[arm] for arm in arms), strict=True)]
    return {
        "median": statistics.median(ratios),
        "by_round": ratios,
        "tokens_per_s": rates,
        "first_token_p50_s": firsts,
    }


async def _measure(rounds: int) -> dict[str, object]:
    return {
        "clients": _CLIENTS,
        "requests_of_each": _REQUESTS,
        "prompt_tokens": _PROMPT,
        "answer_tokens": _ANSWER,
        **{name: await _pair(arms, rounds) for name, arms in _PAIRS.items()},
    }


def main() -> None:
    """Measure, keep."""
    parser = argparse.ArgumentParser(prog="python -m bench.micro.ray_beside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    found = asyncio.run(_measure(parser.parse_args().rounds))
    keep("ray-beside", "tokens a second at the engine's port, with and without Ray", found)


if __name__ == "__main__":
    main()
