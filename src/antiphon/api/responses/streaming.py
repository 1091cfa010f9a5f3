"""How a response is streamed: named events, closed by the one that tells how it ended.

Invariant: a stream that is not cut ends in exactly one of `response.completed`, `response.incomplete` and
`response.failed`.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from antiphon.api import sse
from antiphon.api.encode import Json
from antiphon.api.errors import answer
from antiphon.api.responses.encode import ResponseEncoder
from antiphon.core.errors import AntiphonError
from antiphon.core.events import AnswerEvent

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"messages": "input", "response_format": "text.format.schema"}
)
_NESTING: Final = re.compile(r"(?<=\])\.(?:function|custom)|(?<=\.format)\.grammar")
"""Where chat completions nest what a tool is, and responses do not."""


def spell_param(name: str) -> str:
    """What this API calls a field that an error of the service names."""
    return _NAMES.get(name) or (_NESTING.sub("", name) if name.startswith("tools[") else name)


def refusal_event(error: AntiphonError) -> bytes:
    """The only event of a stream whose response could not be begun."""
    told = answer(error, spell_param)
    facts = {"code": told.code, "message": told.message, "param": told.param}
    return sse.named_event("error", {"type": "error", **facts, "sequence_number": 0})


class ResponseEvents:
    """The events of one response as bytes."""

    ending = b""
    """The last event is the end."""

    def __init__(self, encoder: ResponseEncoder) -> None:
        """Spell what this encoder tells."""
        self._encoder = encoder

    def opening(self) -> bytes:
        """Before any event."""
        return framed(self._encoder.opening())

    def push(self, event: AnswerEvent) -> bytes:
        """What an event adds."""
        return framed(self._encoder.push(event))

    def failure(self, error: AntiphonError) -> bytes:
        """The end of a response that cannot go on."""
        return framed(self._encoder.fail("server_error", answer(error).message))


def framed(events: Iterable[Json]) -> bytes:
    """Events as they are sent."""
    return b"".join(sse.named_event(event["type"], event) for event in events)
