"""What was said so far, and what the next request asks for. No terminal, no network.

Invariant: `body` is a whole request; what a person set is in it, and nothing else.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Parameter = float | int | str | bool | list[Any]


class UsageError(Exception):
    """A person asked for something that cannot be; the text is one line."""


@dataclass(slots=True)
class Conversation:
    """A conversation with one model."""

    model: str
    system: str = ""
    parameters: dict[str, Parameter] = field(default_factory=dict)
    """Fields of the request, by their names in the API."""
    response_format: dict[str, Any] | None = None
    turns: list[dict[str, str]] = field(default_factory=list)
    """Messages of the user and the assistant, the oldest first."""

    def ask(self, text: str) -> None:
        """The user says something."""
        self.turns.append({"role": "user", "content": text})

    def answer(self, text: str) -> None:
        """The assistant said something."""
        self.turns.append({"role": "assistant", "content": text})

    def take_back_answer(self) -> bool:
        """Forget what the assistant said last; False where it said nothing yet."""
        if not self.turns or self.turns[-1]["role"] != "assistant":
            return bool(self.turns)
        self.turns.pop()
        return True

    def undo(self) -> None:
        """Forget the last question and its answer."""
        while self.turns and self.turns.pop()["role"] != "user":
            pass

    def body(self) -> dict[str, Any]:
        """The request for the next answer, streamed."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        body: dict[str, Any] = {"model": self.model, "messages": [*system, *self.turns], **self.parameters}
        if self.response_format is not None:
            body["response_format"] = self.response_format
        return body | {"stream": True, "stream_options": {"include_usage": True}}

    def set_parameter(self, text: str) -> None:
        """Take in `temperature=0.2`; an empty value takes the parameter away.

        Raises:
            UsageError: it is not of that form.
        """
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name.isidentifier():
            raise UsageError(f"{text}: not of the form NAME=VALUE (temperature=0.2)")
        if not value:
            self.parameters.pop(name, None)
            return
        try:
            self.parameters[name] = json.loads(value)
        except ValueError:
            self.parameters[name] = value


def read_schema(path: str) -> dict[str, Any]:
    """The response format of a file with a JSON schema, or with the API's own `json_schema` object.

    Raises:
        UsageError: it cannot be read.
    """
    file = Path(path).expanduser()
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: not JSON ({error})") from error
    if not isinstance(schema, dict):
        raise UsageError(f"{path}: a JSON schema is an object")
    if not (isinstance(schema.get("schema"), dict) and isinstance(schema.get("name"), str)):
        name = re.sub(r"[^A-Za-z0-9_-]", "_", file.stem)[:64] or "answer"
        schema = {"name": name, "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": schema}
