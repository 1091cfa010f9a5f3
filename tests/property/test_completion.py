"""A completion's events: the fold is the same for any grouping of the same tokens."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.events import ChoiceEnded, Completed
from antiphon.core.generation import GenerationRequest
from antiphon.engine.backends.fake import Script
from tests.unit.service.serving import HELLO, Server, ending_of, scores_of, text_of

PIECES = st.lists(st.binary(min_size=1, max_size=4).map(tuple), max_size=8)
STOPS = st.lists(st.text("abé\n", min_size=1, max_size=3), max_size=2).map(tuple)

Choices = list[list[tuple[int, ...]]]
"""Per choice, the pieces it says."""


def folded(choices: Choices, stops: tuple[str, ...], limit: int, top: int | None) -> object:
    """Everything a whole answer tells, from choices that say these pieces."""

    def script(request: GenerationRequest, choice: int) -> Script:
        return Script(choices[choice])

    async def fold() -> object:
        server = Server(script)
        request = replace(HELLO, choices=len(choices), stop=stops, max_tokens=limit, top_logprobs=top)
        async with aclosing((await server.open(request)).events()) as stream:
            events = [event async for event in stream]
        assert server.idle
        assert isinstance(ending_of(events), Completed)
        ends = sorted((e.choice, e.reason) for e in events if isinstance(e, ChoiceEnded))
        parts = [(text_of(events, i), scores_of(events, i)) for i in range(len(choices))]
        return parts, ends, ending_of(events)

    return asyncio.run(fold())


@given(st.lists(PIECES, min_size=1, max_size=3), STOPS, st.integers(1, 20), st.sampled_from([None, 1]))
def test_fold_does_not_depend_on_grouping(
    choices: Choices, stops: tuple[str, ...], limit: int, top: int | None
) -> None:
    """Text, scores, ends and usage are those of the tokens one by one."""
    one_by_one: Choices = [[(token,) for piece in pieces for token in piece] for pieces in choices]

    assert folded(choices, stops, limit, top) == folded(one_by_one, stops, limit, top)
