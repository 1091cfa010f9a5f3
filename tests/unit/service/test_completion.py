"""The events of a completion, from scripted tokens."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from antiphon.core.errors import EngineFailed
from antiphon.core.events import ChoiceEnded, Completed, Failed, TextDelta, Usage
from antiphon.core.messages import ChatRequest
from antiphon.engine.backends.fake import FakeEngine, Script, say
from tests.unit.service.serving import HELLO, Server, ending_of, scores_of, text_of


def saying(*texts: str, **happening: object) -> Server:
    """A server whose model says these pieces, whatever it is asked."""
    return Server(lambda request, choice: replace(say(*texts), **happening))  # type: ignore[arg-type]


async def test_plain_answer_is_its_pieces_an_end_and_the_usage() -> None:
    """The simplest completion, event for event."""
    assert await saying("Hel", "lo").answer(HELLO) == [
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        ChoiceEnded(0, "stop"),
        Completed(Usage(prompt_tokens=24, completion_tokens=5)),
    ]


async def test_stop_string_ends_the_choice_and_the_engine_s_work() -> None:
    """Text before the stop string is delivered; the engine is not asked for more."""
    server = saying("one E", "ND two", *["more"] * 50)
    events = await server.answer(replace(HELLO, stop=("END",)))

    assert events == [
        TextDelta(0, "one "),
        ChoiceEnded(0, "stop"),
        Completed(Usage(prompt_tokens=24, completion_tokens=7)),
    ]
    assert (server.engine.steps, server.idle) == (2, True)


async def test_stop_string_ends_only_its_own_choice() -> None:
    """The other choices go on, and usage sums over all."""
    words = ("stop here.", "go on and on")
    server = Server(lambda request, choice: say(*words[choice].split(" ")))
    events = await server.answer(replace(HELLO, choices=2, stop=("here",)))

    assert (text_of(events, 0), text_of(events, 1)) == ("stop", "goonandon")
    assert ending_of(events) == Completed(Usage(24, len("stophere") + len("goonandon")))


async def test_held_text_is_delivered_at_the_end() -> None:
    """Neither an unfinished stop string nor the text before it is lost."""
    events = await saying("the EN", end="length").answer(replace(HELLO, stop=("END",)))

    assert text_of(events) == "the EN"
    assert ChoiceEnded(0, "length") in events


async def test_budget_ends_with_length() -> None:
    """The engine's reason is passed on."""
    events = await saying("Hello").answer(replace(HELLO, max_tokens=3))

    assert events[-2:] == [ChoiceEnded(0, "length"), Completed(Usage(24, 3))]


async def test_logprobs_cover_exactly_the_tokens_of_the_text() -> None:
    """Σ bytes = content, one entry per token; none for what a stop string cut off."""
    events = await saying("caf", "é END").answer(replace(HELLO, top_logprobs=2, stop=(" END",)))
    scores = scores_of(events)

    assert b"".join(score.raw for score in scores) == text_of(events).encode() == "café".encode()
    assert {len(score.top) for score in scores} == {2}


async def test_cached_tokens_are_told_even_when_every_choice_is_stopped() -> None:
    """Usage does not depend on how the choices ended."""
    server = saying("END", cached_tokens=5)

    assert ending_of(await server.answer(replace(HELLO, stop=("END",)))) == Completed(Usage(24, 3, 5))
    assert ending_of(await server.answer(HELLO)) == Completed(Usage(24, 3, 5))


async def test_empty_answer_still_ends() -> None:
    """A choice without a token has an end and no text."""
    assert await saying().answer(HELLO) == [ChoiceEnded(0, "stop"), Completed(Usage(24, 0))]


async def test_engine_failure_is_the_last_event() -> None:
    """What was said stays said; then one `Failed`, and everything is given back."""
    server = saying("Hel", "lo", fail_after=1)
    events = await server.answer(HELLO)
    failed = ending_of(events)

    assert text_of(events) == "Hel"
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, EngineFailed)
    assert server.idle


async def test_engine_that_ends_too_early_is_a_failure() -> None:
    """A choice without an end is never passed off as complete."""
    server = saying("Hello", "again")
    completion = await server.open(HELLO)
    async with aclosing(completion.events()) as events:
        await anext(events)
        completion.generation.stop(0)
        rest = [event async for event in events]

    assert isinstance(ending_of(rest), Failed)


async def test_room_is_given_back_before_the_last_event() -> None:
    """A client that is slow to read the end holds nothing."""
    server = saying("x")
    async with aclosing((await server.open(HELLO)).events()) as events:
        async for event in events:
            if isinstance(event, Completed):
                assert server.idle


async def test_closing_early_cancels() -> None:
    """A client that leaves in the middle frees the engine and its room."""
    server = saying("a", "b", "c")
    completion = await server.open(HELLO)
    async with aclosing(completion.events()) as events:
        await anext(events)

    assert list(server.engine.cancelled) == [completion.id]
    assert server.idle


async def test_closing_before_the_first_event_cancels() -> None:
    """A client that leaves before anything was read frees them too."""
    server = saying("a", "b", "c")
    completion = await server.open(HELLO)
    await completion.events().aclose()

    assert list(server.engine.cancelled) == [completion.id]
    assert server.idle


async def test_cancelling_the_reader_cancels() -> None:
    """A task that is cancelled while it waits for the engine cleans up."""
    server = Server(lambda request, choice: Script(delay_s=3600.0))
    completion = await server.open(HELLO)
    async with aclosing(completion.events()) as events:
        reader = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader

    assert list(server.engine.cancelled) == [completion.id]
    assert server.idle


async def test_error_thrown_into_the_events_cancels() -> None:
    """The events behave as a generator does."""
    server = saying("a", "b")
    events = (await server.open(HELLO)).events()
    await anext(events)
    with pytest.raises(KeyError):
        await events.athrow(KeyError())

    assert server.idle


async def test_room_is_given_back_even_when_the_engine_cannot_be_told() -> None:
    """An error while cancelling does not keep the lease."""

    class BrokenEngine(FakeEngine):
        def leave(self, *_: object, **__: object) -> None:
            raise RuntimeError

    server = saying("a")
    server.engine.__class__ = BrokenEngine
    completion = await server.open(HELLO)
    with pytest.raises(RuntimeError):
        await completion.aclose()

    assert server.admission.choices == 0


async def test_many_completions_at_once_leave_nothing() -> None:
    """Improvised answers, side by side, each with its own end."""
    server = Server()
    requests: list[ChatRequest] = [replace(HELLO, choices=1 + i % 3, stop=("e",)) for i in range(20)]
    answers = await asyncio.gather(*map(server.answer, requests))

    assert all(isinstance(ending_of(events), Completed) for events in answers)
    assert server.idle
