"""What a hosted server with the fake engine is to answer, told by whoever tests a client.

Answers are said in the order in which they were told, one for each choice that is asked for; when none
is left, the engine improvises again. The server proves its answers: one that breaks the schema that its
request asked for is an error, as it would be with a model.

Invariant: when a method returns, the next request meets the answer.
"""

import json
from collections.abc import Callable, Mapping
from typing import Literal

from antiphon.hosted.channel import Message


class Script:
    """The answers to come; `Server.script` is one."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        """Made by `Server`; `send` returns when the server has taken the message."""
        self._send = send

    def say(
        self,
        *texts: str,
        end: Literal["stop", "length"] = "stop",
        delay_s: float = 0.0,
        fail_after: int | None = None,
    ) -> None:
        """Answer with these texts, each a piece of its own when streamed.

        `delay_s` seconds pass before each piece. With `fail_after` the engine fails before that piece,
        0 being the first: a whole answer is then an error, a stream ends in one.
        """
        self._answer(texts=texts, end=end, delay_s=delay_s, fail_after=fail_after)

    def call(self, name: str, arguments: Mapping[str, object] | str, *, text: str = "") -> None:
        """Answer with one tool call, after `text` if there is one; see `calls`."""
        self.calls((name, arguments), text=text)

    def calls(self, *calls: tuple[str, Mapping[str, object] | str], text: str = "") -> None:
        """Answer with these tool calls: pairs of a name and its arguments, an object or its JSON."""
        written = [
            (name, arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
            for name, arguments in calls
        ]
        self._answer(texts=(text,) if text else (), calls=written)

    def refuse(self, reason: Literal["overloaded", "unavailable"] = "overloaded") -> None:
        """Refuse a request with the 503 of a full queue, or of an engine that is down."""
        self._answer(refusal=reason)

    def clear(self) -> None:
        """Forget what was not said yet."""
        self._send({"clear": True})

    def _answer(self, **parts: object) -> None:
        silent = {
            "texts": (),
            "calls": (),
            "end": "stop",
            "delay_s": 0.0,
            "fail_after": None,
            "refusal": None,
        }
        self._send({"answer": silent | parts})
