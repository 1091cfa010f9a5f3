"""Open-loop use: requests come when they come, whether or not earlier ones are answered.

Beside them one small request with a seed is repeated all the time: it must be answered, and always alike.

Invariant: every request that was sent is counted once, as what came of it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import httpx

from bench.soak.answers import Broken, Busy, Wrong, whole
from bench.soak.shapes import SHAPES, Shape

_TIMEOUT_S = 120.0
_CONTROL_PAUSE_S = 1.0
_KEPT_REASONS = 20


@dataclass(frozen=True, slots=True)
class Use:
    """How the server is used."""

    url: str
    model: str
    seconds: float
    rate: float
    """Requests per second, on average."""
    seed: int = 0
    most: int = 400
    """Requests under way at once; the client's own bound."""


@dataclass(slots=True)
class Tally:
    """What came of the requests."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    """By shape: ok, busy, broken or wrong."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why answers were broken or wrong, with the shape."""
    control_s: list[float] = field(default_factory=list)
    """How long each of the repeated requests took, in order."""
    control_texts: Counter[str] = field(default_factory=Counter)
    """What it was answered; one text, if all is well."""

    def add(self, shape: str, outcome: str, reason: str = "") -> None:
        """Count one request."""
        self.outcomes.setdefault(shape, Counter())[outcome] += 1
        if reason and (len(self.reasons) < _KEPT_REASONS or reason in self.reasons):
            self.reasons[f"{shape}: {reason}"] += 1

    def total(self, outcome: str) -> int:
        """Over all shapes."""
        return sum(counts[outcome] for counts in self.outcomes.values())


async def drive(use: Use) -> Tally:
    """Use the server for so long, and wait for what is still under way."""
    tally = Tally()
    async with _client(use) as client, asyncio.TaskGroup() as requests:
        control = asyncio.create_task(_repeat(client, use, tally))
        chance = Random(use.seed)
        end = time.monotonic() + use.seconds
        under_way: set[asyncio.Task[None]] = set()
        while time.monotonic() < end:
            await asyncio.sleep(chance.expovariate(use.rate))
            if len(under_way) < use.most:
                (shape,) = chance.choices(SHAPES, weights=[shape.weight for shape in SHAPES])
                task = requests.create_task(_hold(client, shape, Random(chance.random()), use.model, tally))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        control.cancel()
    return tally


@asynccontextmanager
async def _client(use: Use) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    async with httpx.AsyncClient(
        base_url=use.url, timeout=_TIMEOUT_S, limits=limits, trust_env=False
    ) as client:
        yield client


async def _hold(client: httpx.AsyncClient, shape: Shape, chance: Random, model: str, tally: Tally) -> None:
    try:
        await shape.hold(client, chance, model)
    except Busy as busy:
        tally.add(shape.name, "busy", str(busy))
    except Broken as broken:
        tally.add(shape.name, "broken", str(broken))
    except Wrong as wrong:
        tally.add(shape.name, "wrong", str(wrong))
    except Exception as error:  # noqa: BLE001 - whatever a client raises over an answer is a finding
        tally.add(shape.name, "wrong", f"{type(error).__name__}: {error}"[:200])
    else:
        tally.add(shape.name, "ok")


async def _repeat(client: httpx.AsyncClient, use: Use, tally: Tally) -> None:
    """The control: the same request again and again; never returns."""
    body = {
        "model": use.model,
        "messages": [{"role": "user", "content": "Tell me about the sea."}],
        "max_tokens": 24,
        "temperature": 1.0,
        "seed": 7,
    }

    async def ask(client: httpx.AsyncClient, chance: Random, model: str) -> None:
        began = time.monotonic()
        answer = await whole(client, "/v1/chat/completions", body)
        tally.control_s.append(time.monotonic() - began)
        tally.control_texts[answer["choices"][0]["message"]["content"]] += 1

    while True:
        await _hold(client, Shape("control", 0, ask), Random(0), use.model, tally)
        await asyncio.sleep(_CONTROL_PAUSE_S)
