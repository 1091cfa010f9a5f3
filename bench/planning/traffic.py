"""Request shapes: who comes when, with which prompts, and for how long an answer.

Sessions arrive at random, alone or in bursts. Each belongs to an application, whose system prompt all
its sessions share, and has several turns, each of which quotes what was said before. Lengths and pauses
are spread as they are in traces of chat services: log-normally, applications by Zipf's law.

Invariant: equal (shape, rate, seed) give equal sessions, anywhere.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Final

VOCABULARY: Final = 229
TEMPLATE_TOKENS: Final = 5
"""What a chat template puts around a message, about."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What sessions are like. Lengths are in tokens, means of the spread; times in seconds."""

    about: str
    applications: int
    """How many system prompts there are."""
    system: int
    own: int
    """What the first message brings along, such as a document."""
    message: int
    answer: int
    turns: float
    think_s: float
    burstiness: float = 1.0
    """Coefficient of variation of the time between sessions; 1 is a Poisson process."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, the length of its answer, and the pause before the next."""

    message: tuple[int, ...]
    answer: int
    think_s: float


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation. Tokens are numbers below `VOCABULARY`."""

    number: int
    comes_s: float
    system: tuple[int, ...]
    turns: tuple[Turn, ...]


SHAPES: Final[Mapping[str, Shape]] = MappingProxyType(
    {
        "chat": Shape("four turns, 40 applications with 400-token system prompts", 40, 400, 0, 40, 96, 4, 8),
        "documents": Shape("three short questions about a 1,500-token text", 10, 200, 1500, 25, 64, 3, 12),
        "single": Shape("one message in, 32 tokens out, 400-token system prompts", 40, 400, 0, 80, 32, 1, 0),
        "bursts": Shape("as chat, in bursts", 40, 400, 0, 40, 96, 4, 8, 3.0),
    }
)


def sessions(shape: Shape, per_second: float, seed: int) -> Iterator[Session]:
    """Without end, in order of their coming, so many a second on average."""
    chance = Random(f"traffic {seed}")
    systems = [_words(Random(f"system {place}"), shape.system) for place in range(shape.applications)]
    popularity = [1 / (place + 1) for place in range(shape.applications)]
    now, number = 0.0, 0
    variance = shape.burstiness**2
    while True:
        now += chance.gammavariate(1 / variance, variance / per_second)
        (system,) = chance.choices(systems, popularity)
        yield Session(number, now, system, tuple(_turns(shape, chance)))
        number += 1


def _turns(shape: Shape, chance: Random) -> Iterator[Turn]:
    brought = _words(chance, _spread(chance, shape.own)) if shape.own else ()
    while True:
        message = (*brought, *_words(chance, _spread(chance, shape.message)))
        yield Turn(message, _spread(chance, shape.answer), _pause(chance, shape.think_s))
        if chance.random() * shape.turns <= 1:
            return
        brought = ()


def _spread(chance: Random, mean: int) -> int:
    """Log-normal, the long tail cut at three times the mean."""
    sigma = 0.7
    value = chance.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)
    return max(4, min(3 * mean, round(value)))


def _pause(chance: Random, mean: float) -> float:
    return chance.expovariate(1 / mean) if mean else 0.0


def _words(chance: Random, count: int) -> tuple[int, ...]:
    return tuple(chance.choices(range(VOCABULARY), k=count))
