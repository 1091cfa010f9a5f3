"""What is left out of a conversation that is longer than the context, where the request allows that.

As with OpenAI it is the oldest items. Instructions, system and developer messages stay, and so does the
last item, whatever it takes. How long a conversation is, is for others to tell.

Invariant: what is left is in its old order, and holds no output of a call that is gone.
"""

from collections.abc import Awaitable, Callable, Sequence

from antiphon.api.responses.items import InputItem
from antiphon.core.messages import Message, ToolCall

Items = Sequence[InputItem]


async def fitting(items: Items, fits: Callable[[Items], Awaitable[bool]]) -> Items:
    """The items without as few of the oldest as it takes to fit; if nothing does, without all that may go."""
    fewest, most = 1, _most(items)
    if not most:
        return items
    while fewest < most:
        middle = (fewest + most) // 2
        if await fits(without_oldest(items, middle)):
            most = middle
        else:
            fewest = middle + 1
    return without_oldest(items, fewest)


def without_oldest(items: Items, count: int) -> Items:
    """The items without the `count` oldest of those that may go, and without outputs of calls among them."""
    kept: list[InputItem] = []
    gone: set[str | None] = set()
    for item in items:
        meaning = item.meaning
        if isinstance(meaning, Message) and meaning.role in ("system", "developer"):
            kept.append(item)
        elif count:
            count -= 1
            if isinstance(meaning, ToolCall):
                gone.add(meaning.id)
        elif not isinstance(meaning, Message) or meaning.role != "tool" or meaning.tool_call_id not in gone:
            kept.append(item)
    return kept


def _most(items: Items) -> int:
    """How many may go so that the last one stays."""
    fewest, most = 0, len(items)
    while fewest < most:
        middle = (fewest + most + 1) // 2
        left = without_oldest(items, middle)
        if left and left[-1] is items[-1]:
            fewest = middle
        else:
            most = middle - 1
    return fewest
