"""What the fake engine does beyond the engine contract: its scripts and its records."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from antiphon.core.errors import EngineFailed, EngineUnavailable, Overloaded
from antiphon.core.generation import ChoiceEnd, Constraint, EngineEvent, GenerationRequest, TokenDelta
from antiphon.engine.backends.fake import FakeEngine, Script, say

REQUEST = GenerationRequest("r1", (1, 2, 3), max_tokens=100)


async def answer(engine: FakeEngine, request: GenerationRequest = REQUEST) -> list[EngineEvent]:
    """Start the engine and hear a request out."""
    await engine.start()
    async with aclosing(engine.generate(request)) as generation:
        return [event async for event in generation]


async def test_pieces_come_as_the_script_groups_them() -> None:
    """One delta per piece, then the script's end."""
    engine = FakeEngine(lambda request, choice: say("ab", "c", end="length"))

    assert await answer(engine) == [
        TokenDelta(0, (97, 98)),
        TokenDelta(0, (99,)),
        ChoiceEnd(0, "length"),
    ]


async def test_choices_take_turns() -> None:
    """Each choice has its own script; their pieces interleave."""
    engine = FakeEngine(lambda request, choice: say(*"xy"[choice] * 2))
    events = await answer(engine, replace(REQUEST, choices=2))

    assert [event.choice for event in events] == [0, 1, 0, 1, 0, 1]


async def test_limits_cut_through_pieces() -> None:
    """A budget ends a choice in the middle of a piece."""
    engine = FakeEngine(lambda request, choice: say("abc"))

    assert await answer(engine, replace(REQUEST, max_tokens=2)) == [
        TokenDelta(0, (97, 98)),
        ChoiceEnd(0, "length"),
    ]


async def test_failure_comes_where_the_script_puts_it() -> None:
    """Pieces before it are heard; then the generation fails once and is over."""
    engine = FakeEngine(lambda request, choice: say("a", "b", fail_after=1))
    await engine.start()
    generation = engine.generate(REQUEST)
    assert await anext(generation) == TokenDelta(0, (97,))
    with pytest.raises(EngineFailed):
        await anext(generation)

    assert [event async for event in generation] == []
    assert engine.stats().running == 0


@pytest.mark.parametrize("refusal", [Overloaded(5.0), EngineUnavailable()])
async def test_script_may_refuse_a_request(refusal: Overloaded | EngineUnavailable) -> None:
    """A refused request leaves nothing behind."""
    engine = FakeEngine(lambda request, choice: Script(refusal=refusal))
    with pytest.raises(type(refusal)):
        await answer(engine)

    assert engine.stats().running == 0


async def test_delay_waits_but_closing_does_not() -> None:
    """A slow script holds its reader, until somebody closes the generation."""
    engine = FakeEngine(lambda request, choice: say("a", delay_s=3600.0))
    await engine.start()
    generation = engine.generate(REQUEST)
    reader = asyncio.ensure_future(anext(generation, None))
    await asyncio.sleep(0)
    await generation.aclose()

    assert await reader is None
    assert list(engine.cancelled) == ["r1"]


async def test_delay_passes() -> None:
    """After its delay a piece is heard."""
    engine = FakeEngine(lambda request, choice: say("a", delay_s=0.001))

    assert await answer(engine) == [TokenDelta(0, (97,)), ChoiceEnd(0, "stop")]


async def test_finished_request_is_not_recorded_as_cancelled() -> None:
    """Only what was cut short counts as cancelled."""
    engine = FakeEngine(lambda request, choice: say("a"))
    await answer(engine)

    assert list(engine.cancelled) == []


async def test_stats_count_what_was_done() -> None:
    """Prompt, cached and generated tokens, and steps."""
    engine = FakeEngine(lambda request, choice: replace(say("ab"), cached_tokens=2))
    await answer(engine)
    stats = engine.stats()

    assert (stats.prompt_tokens, stats.cached_tokens, stats.generated_tokens) == (3, 2, 2)
    assert (stats.ready, stats.running, stats.steps) == (True, 0, 2)


async def test_unchecked_constraint_beyond_the_fake_fails_the_request() -> None:
    """Free text is never said under a constraint."""
    with pytest.raises(EngineFailed):
        await answer(FakeEngine(), replace(REQUEST, constraint=Constraint("regex", "(a")))


async def test_engine_can_be_started_again() -> None:
    """After a close it serves as before."""
    engine = FakeEngine()
    before = await answer(engine)
    await engine.aclose()

    assert await answer(engine) == before
