"""A closed loop: so many clients, each of which sends its next request when one is answered.

Invariant: every request that was to be sent has a sample, whatever became of it.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from antiphon.cli.client import ApiError, Endpoint

_TOPICS = ("a river", "the sea", "a lamp", "bread", "winter", "a bridge", "music", "the moon")


@dataclass(slots=True)
class Sample:
    """One request. Times are seconds of a monotonic clock."""

    sent: float
    arrivals: list[float] = field(default_factory=list)
    """When each piece of text came."""
    tokens: int = 0
    ended: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """What to send."""

    model: str
    requests: int
    max_tokens: int


def run_load(
    endpoint: Endpoint, load: Load, concurrency: int, on_done: Callable[[], None]
) -> tuple[list[Sample], float]:
    """Send all requests with so many clients at once; the samples and the seconds it took."""
    samples: list[Sample] = []
    numbers = iter(range(load.requests))
    lock = threading.Lock()

    def be_client() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            samples.append(_send(endpoint, load, number))
            on_done()

    began = time.perf_counter()
    clients = [threading.Thread(target=be_client, daemon=True) for _ in range(concurrency)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return samples, time.perf_counter() - began


def _send(endpoint: Endpoint, load: Load, number: int) -> Sample:
    sample = Sample(sent=time.perf_counter())
    try:
        for chunk in endpoint.stream(_body(load, number)):
            usage = chunk.get("usage")
            if isinstance(usage, dict):
                sample.tokens = int(usage.get("completion_tokens", 0))
            if any(_text(choice) for choice in chunk.get("choices") or ()):
                sample.arrivals.append(time.perf_counter())
    except ApiError as error:
        sample.error = str(error)
    sample.ended = time.perf_counter()
    sample.tokens = max(sample.tokens, len(sample.arrivals))
    return sample


def _body(load: Load, number: int) -> dict[str, object]:
    """Each prompt differs from its first words on, so that no cache of prompts helps."""
    topic = _TOPICS[number % len(_TOPICS)]
    return {
        "model": load.model,
        "messages": [{"role": "user", "content": f"Story {number}: write a long story about {topic}."}],
        "max_tokens": load.max_tokens,
        "temperature": 0.8,
        "seed": number,
        "stream_options": {"include_usage": True},
    }


def _text(choice: dict[str, dict[str, object]]) -> bool:
    return bool((choice.get("delta") or {}).get("content"))
