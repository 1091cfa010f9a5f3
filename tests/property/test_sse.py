"""Properties of streams: they parse back to their chunks, and fold to the whole answer."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from antiphon.api import sse
from antiphon.api.encode import AnswerHead, AnswerShape, ChunkEncoder, CompletionFold
from antiphon.core.events import ChoiceEnded, Completed, FinishReason, ScoredToken, TextDelta, Usage

Event = TextDelta | ChoiceEnded | Completed

texts = st.text(max_size=12)
reasons: st.SearchStrategy[FinishReason] = st.sampled_from(["stop", "length"])
tokens = st.lists(
    st.builds(ScoredToken, st.just("t"), st.binary(max_size=4), st.floats(max_value=0)), max_size=2
).map(tuple)


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, list[Event]]:
    """A number of choices and the events of a completion that goes well, choices interleaved."""
    choices = draw(st.integers(1, 3))
    deltas = draw(st.lists(st.builds(TextDelta, st.integers(0, choices - 1), texts, tokens), max_size=12))
    ends = [ChoiceEnded(index, draw(reasons)) for index in range(choices)]
    events: list[Event] = [*deltas, *draw(st.permutations(ends))]
    return choices, [*events, Completed(Usage(draw(st.integers(0, 9)), draw(st.integers(0, 9))))]


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_events_are_parsed_back_to_their_data(data: object) -> None:
    """By the SDK's own parser, with comments in between."""
    body = sse.PING + sse.event({"data": data}) + sse.PING + sse.event(["x"]) + sse.DONE
    parsed = [event.data for event in SSEDecoder().iter_bytes(iter([body])) if event.data]
    assert parsed[-1] == "[DONE]"
    assert [json.loads(text) for text in parsed[:-1]] == [{"data": data}, ["x"]]


@given(runs(), st.booleans(), st.booleans(), st.booleans())
def test_stream_folds_to_the_whole_answer(
    run: tuple[int, list[Event]], logprobs: bool, include_usage: bool, obfuscate: bool
) -> None:
    """Both ways say the same, and each choice has one role and one end."""
    choices, events = run
    head = AnswerHead("id", 1, "m", "fp", choices)
    shape = AnswerShape(logprobs, include_usage, obfuscate)
    fold, encoder = CompletionFold(head, shape), ChunkEncoder(head, shape, lambda size: "x" * size)
    chunks = encoder.opening()
    for event in events:
        fold.push(event)
        chunks += encoder.push(event)
    whole = msgspec.json.decode(msgspec.json.encode(fold.completion()))
    wire = [msgspec.json.decode(msgspec.json.encode(chunk)) for chunk in chunks]
    for index in range(choices):
        seen = [choice for chunk in wire for choice in chunk["choices"] if choice["index"] == index]
        check_choice(seen, whole["choices"][index])
    assert [chunk["usage"] for chunk in wire if chunk.get("usage")] == [whole["usage"]] * include_usage


def check_choice(seen: list[Any], expected: Any) -> None:
    """One choice's chunks against the same choice of the whole answer."""
    assert [choice["delta"].get("role") for choice in seen] == ["assistant"] + [None] * (len(seen) - 1)
    reasons = [choice["finish_reason"] for choice in seen]
    assert reasons == [None] * (len(seen) - 1) + [expected["finish_reason"]]
    assert "".join(choice["delta"].get("content", "") for choice in seen) == expected["message"]["content"]
    scored = [token for choice in seen for token in (choice["logprobs"] or {}).get("content", [])]
    assert scored == (expected["logprobs"] or {}).get("content", [])
