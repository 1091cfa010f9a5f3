"""What is left of conversations that are too long, for arbitrary ones."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from antiphon.api.responses.items import InputItem, conversation_of
from antiphon.api.responses.truncation import fitting, without_oldest
from antiphon.core.messages import Message, ToolCall


def turns(kind: str, number: int) -> list[InputItem]:
    """One turn: a message, or a call with its output."""
    if kind == "call":
        id = f"call_{number}"
        return [item(ToolCall(id, "f", "{}")), item(Message("tool", "out", tool_call_id=id))]
    role: Any = kind
    return [item(Message(role, f"{kind} {number}"))]


def item(meaning: Message | ToolCall) -> InputItem:
    """An item of this meaning."""
    return InputItem({}, meaning)


kinds = st.lists(st.sampled_from(["user", "assistant", "system", "developer", "call"]), max_size=12)
conversations = kinds.map(
    lambda some: [each for place, kind in enumerate([*some, "user"]) for each in turns(kind, place)]
)


def is_subsequence(some: Sequence[InputItem], items: Sequence[InputItem]) -> bool:
    """In the same order, nothing twice."""
    rest = iter(items)
    return all(any(each is other for other in rest) for each in some)


@given(conversations, st.integers(0, 30))
def test_what_is_left_is_a_conversation(items: list[InputItem], limit: int) -> None:
    """It fits if anything does, keeps what has to stay, and misses no more than it has to."""
    asked: list[int] = []

    async def fits(some: Sequence[InputItem]) -> bool:
        asked.append(len(some))
        return len(some) <= limit

    left = asyncio.run(fitting(items, fits))

    assert is_subsequence(left, items)
    assert left[-1] is items[-1]
    stays = [
        each
        for each in items
        if isinstance(each.meaning, Message) and each.meaning.role in ("system", "developer")
    ]
    assert is_subsequence(stays, left)
    conversation_of(None, left)
    assert len(asked) <= len(items).bit_length()
    if len(left) > limit:
        assert len(left) == len(stays) + 1
    # One fewer would not have been enough.
    gone = next(count for count in range(len(items)) if list(without_oldest(items, count)) == list(left))
    assert gone <= 1 or len(without_oldest(items, gone - 1)) > limit
