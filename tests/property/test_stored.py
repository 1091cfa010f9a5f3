"""Stored completions under arbitrary contents: joining loses nothing, and text gives them back."""

from dataclasses import replace
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.events import (
    AnswerEvent,
    ChoiceEnded,
    Completed,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)
from antiphon.core.stored import join_deltas
from antiphon.store import codec
from tests.stored import completion

DELTAS = st.one_of(
    st.builds(TextDelta, choice=st.integers(0, 2)),
    st.builds(ToolCallStarted, choice=st.integers(0, 2)),
    st.builds(ToolArgumentsDelta, choice=st.integers(0, 2)),
    st.builds(ChoiceEnded, choice=st.integers(0, 2)),
)
ENDINGS = st.builds(Completed, st.builds(Usage))


def texts(events: tuple[AnswerEvent, ...], choice: int) -> list[tuple[type, int, str]]:
    """What a choice says, letter by letter, so that only the cuts between deltas are left out."""
    said: list[list[tuple[type, int, str]]] = []
    for event in events:
        match event:
            case TextDelta(choice=of, text=text) if of == choice:
                said.append([(TextDelta, 0, letter) for letter in text])
            case ToolArgumentsDelta(choice=of, index=index, text=text) if of == choice:
                said.append([(ToolArgumentsDelta, index, letter) for letter in text])
            case ToolCallStarted(choice=of, index=index, name=name) if of == choice:
                said.append([(ToolCallStarted, index, name)])
            case ChoiceEnded(choice=of, reason=reason) if of == choice:
                said.append([(ChoiceEnded, 0, reason)])
            case _:
                pass
    return list(chain.from_iterable(said))


@given(st.lists(DELTAS, max_size=12), ENDINGS)
def test_joined_events_say_the_same(deltas: list[AnswerEvent], ending: Completed) -> None:
    """Per choice, and joining again changes nothing."""
    events = (*deltas, ending)
    joined = join_deltas(events)

    assert [texts(joined, choice) for choice in range(3)] == [texts(events, choice) for choice in range(3)]
    assert joined[-1] == ending
    assert join_deltas(joined) == joined


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(DELTAS, max_size=4), ENDINGS, st.dictionaries(st.text(), JSON, max_size=3))
def test_codec_gives_back_what_it_was_given(
    deltas: list[AnswerEvent], ending: Completed, facts: dict[str, object]
) -> None:
    """Any event, any JSON."""
    stored = completion("a", answer=(*deltas, ending))
    stored = replace(stored, keeping=replace(stored.keeping, facts=facts, messages=[facts]))

    assert codec.decode(codec.encode(stored)) == stored
