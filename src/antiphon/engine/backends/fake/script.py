"""What the fake engine says: told by a `Script`, or improvised from prompt and seed.

A script says what a model would want to say; the engine still holds it to the request's limits.
Improvised text is made of short sentences of English and other words, some of several bytes per
character, each sentence followed by the end-of-turn token, for ever: how many of them are heard
depends on the request. Under a constraint an answer that satisfies it is improvised instead.

Invariant: the same request and choice give the same tokens, always and everywhere.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from antiphon.core.errors import EngineUnavailable, Overloaded
from antiphon.core.generation import EndReason, GenerationRequest
from antiphon.engine.backends.fake.held_answer import held_answer
from antiphon.engine.backends.fake.language import TURN_END

# fmt: off
WORDS = (
    "the", "a", "one", "river", "stone", "bird", "lamp", "answer", "echo", "quiet", "sings", "returns",
    "waits", "café", "naïve", "東京", "☕", "🦜",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Script:
    """What one choice says, and what happens meanwhile."""

    pieces: Iterable[tuple[int, ...]] = ()
    """Token ids, in the groups in which they are delivered."""
    end: EndReason = "stop"
    """Why the choice ends when the pieces do."""
    delay_s: float = 0.0
    """Seconds of waiting before each piece and before the end."""
    fail_after: int | None = None
    """The generation fails as a whole before this piece; 0 is the first."""
    refusal: EngineUnavailable | Overloaded | None = None
    """Raised by `generate`, which then takes no request."""
    cached_tokens: int = 0
    """Prompt tokens that are said to come from the prefix cache."""


ScriptSource = Callable[[GenerationRequest, int], Script]
"""What each choice (by its index) of a request says."""


def say(*texts: str, end: EndReason = "stop", delay_s: float = 0.0, fail_after: int | None = None) -> Script:
    """A script that says each of these texts as one piece."""
    return Script(tuple(tuple(text.encode()) for text in texts), end, delay_s, fail_after)


def refuse(reason: Literal["overloaded", "unavailable"]) -> Script:
    """A script that takes no request."""
    return Script(refusal=Overloaded() if reason == "overloaded" else EngineUnavailable())


class QueuedScripts:
    """Scripts said in their order, one a choice; improvisation where none is left.

    One thread may add while another asks.
    """

    def __init__(self) -> None:
        """Hold none."""
        self._scripts: deque[Script] = deque()

    def add(self, script: Script) -> None:
        """Say this after all that was added before."""
        self._scripts.append(script)

    def clear(self) -> None:
        """Forget what was not said yet."""
        self._scripts.clear()

    def __call__(self, request: GenerationRequest, choice: int) -> Script:
        """The next one."""
        try:
            return self._scripts.popleft()
        except IndexError:
            return improvise(request, choice)


def improvise(request: GenerationRequest, choice: int) -> Script:
    """What a choice says without a script.

    Raises:
        SchemaRefused: the constraint is beyond the fake engine.
    """
    chance = _chance(request, choice)
    if request.constraint is not None:
        answer = held_answer(request.constraint, chance).encode()
        return Script(tuple(tuple(answer[i : i + 4]) for i in range(0, len(answer), 4)))
    return Script(_sentences(chance))


def _chance(request: GenerationRequest, choice: int) -> Random:
    """The source of randomness of one choice; greedy choices all have the same."""
    sampling = request.sampling
    greedy = sampling.temperature == 0 or sampling.top_p == 0 or sampling.top_k == 1
    draw = "greedy" if greedy else f"{sampling.seed}/{choice}"
    return Random(f"{draw}/{request.prompt}")


def _sentences(chance: Random) -> Iterator[tuple[int, ...]]:
    while True:
        words = chance.choices(WORDS, k=chance.randint(6, 12))
        yield tuple(words[0].capitalize().encode())
        for word in words[1:]:
            yield tuple(f" {word}".encode())
        yield tuple(b".")
        yield (TURN_END,)
        yield tuple(b" ")
