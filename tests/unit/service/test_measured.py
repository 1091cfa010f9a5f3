"""What a completion adds to the metrics."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from antiphon.core.events import AssistantEvent
from antiphon.engine.backends.fake import Script, say
from tests.unit.service.serving import HELLO, Server


def figure(server: Server, name: str, **labels: str) -> float:
    """One series' value; 0 where there is none yet."""
    samples = server.metrics.samples().get(f"antiphon_{name}", [])
    return sum(value for found, value in samples if found == {"model": "fake", **labels})


async def test_finished_completion_is_counted() -> None:
    """Prompt, tokens, one first token and a gap per token after it, of each choice."""
    server = Server(lambda *_: replace(say("a", "b", "c"), cached_tokens=2))
    await server.answer(replace(HELLO, choices=2))

    assert figure(server, "prompt_tokens_total") == len(server.asked[0].prompt)
    assert figure(server, "cached_prompt_tokens_total") == 2
    assert figure(server, "completion_tokens_total") == 6
    assert figure(server, "time_to_first_token_seconds_count") == 1
    assert figure(server, "inter_token_latency_seconds_count") == 4
    assert figure(server, "completions_total", outcome="finished") == 1
    assert figure(server, "completions_total", outcome="cancelled") == 0


async def test_stop_string_is_a_finish() -> None:
    """The engine is cut short, yet the answer is whole."""
    server = Server(lambda *_: say("a", "STOP", "b"))
    await server.answer(replace(HELLO, stop=("STOP",)))

    assert figure(server, "completions_total", outcome="finished") == 1


async def test_client_that_leaves_cancels() -> None:
    """After the first event, and before any."""
    server = Server(lambda *_: say("a", "b", "c"))
    async with aclosing((await server.open(HELLO)).events()) as events:
        await anext(events)
    assert figure(server, "completions_total", outcome="cancelled") == 1
    unheard: AsyncGenerator[AssistantEvent, None] = (await server.open(HELLO)).events()
    await unheard.aclose()

    assert figure(server, "completions_total", outcome="cancelled") == 2
    assert figure(server, "completions_total", outcome="finished") == 0


async def test_failure_is_counted_once() -> None:
    """Closing what failed adds nothing."""
    server = Server(lambda *_: say("a", "b", fail_after=1))
    await server.answer(HELLO)

    assert figure(server, "completions_total", outcome="failed") == 1
    assert figure(server, "completions_total", outcome="cancelled") == 0


async def test_silent_answer_has_no_first_token() -> None:
    """It finishes all the same."""
    server = Server(lambda *_: Script())
    await server.answer(HELLO)

    assert figure(server, "time_to_first_token_seconds_count") == 0
    assert figure(server, "completions_total", outcome="finished") == 1
