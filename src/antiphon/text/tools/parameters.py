"""Arguments written one by one between tags, as Qwen3-Coder does, and read as the JSON that they stand for.

    <parameter=city>
    Paris
    </parameter>
    <parameter=days>
    3
    </parameter>
    </function>

Plain strings, and choices among strings, stand there as they are; everything else is JSON. What cannot
be written so is for another syntax. Source: the chat templates of Qwen3-Coder and Qwen3.5.

Invariant: what is read is one JSON object, compact, for any split of the same text.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Final, Literal

from antiphon.text.lark import json_rule, text_to
from antiphon.text.schema.watching import has_free_names
from antiphon.text.tools.syntax import CallMalformed

_OPENING: Final = "<parameter="
_NAMED: Final = ">\n"
_CLOSING: Final = "\n</parameter>\n"
_END: Final = "</function>\n"

_NAME: Final = re.compile(r"[^<>\n]+")
_OF_PLAIN_STRINGS: Final = frozenset(("type", "title", "description", "default", "examples", "enum"))
_OF_PLAIN_OBJECTS: Final = _OF_PLAIN_STRINGS - {"enum"} | {
    *("properties", "required", "additionalProperties", "$defs", "definitions", "$schema", "$comment")
}


def text_parameters(schema: Mapping[str, object]) -> Set[str]:
    """The properties whose values are written as they are."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return frozenset()
    return frozenset(name for name, described in properties.items() if _is_plain_string(described))


def _is_plain_string(schema: object) -> bool:
    if not isinstance(schema, Mapping) or schema.get("type") != "string":
        return False
    choices = schema.get("enum", ["any"])
    if not isinstance(choices, list) or not schema.keys() <= _OF_PLAIN_STRINGS:
        return False
    return all(isinstance(choice, str) and choice and "\n" not in choice for choice in choices)


def is_writable(schema: Mapping[str, object]) -> bool:
    """Whether to be valid under this closed schema is for each property to be valid alone."""
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        return False
    return (
        schema.keys() <= _OF_PLAIN_OBJECTS
        and set(required) <= properties.keys()
        and all(isinstance(each, Mapping) and _NAME.fullmatch(name) for name, each in properties.items())
        and not has_free_names(schema)
    )


def parameter_rules(
    name: str, schema: Mapping[str, Any], texts: Set[str], literal: Callable[[str], str]
) -> Iterator[str]:
    """The rule of this name, which writes all arguments in the order of their properties, and those below it.

    `texts` are the properties that are written as they are; `literal` spells a fixed text.
    """
    properties, required = schema.get("properties", {}), schema.get("required", [])
    shared = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    rules = [f"{name}_{place}" for place in range(len(properties))]
    yield f"{name}: {' '.join((*rules, literal(_END)))}"
    for rule, (key, described) in zip(rules, properties.items(), strict=True):
        yield f"{rule}: {literal(_OPENING + key + _NAMED)} {rule}_value{'' if key in required else ' |'}"
        if key not in texts:
            yield f"{rule}_value: {rule}_json {literal(_CLOSING)}"
            yield json_rule(f"{rule}_json", {**shared, **described})
        elif "enum" in described:
            yield f"{rule}_value: {rule}_choice {literal(_CLOSING)}"
            yield f"{rule}_choice: {' | '.join(map(json.dumps, described['enum']))}"
        else:
            yield f"{rule}_value[lazy]: {text_to([_CLOSING])}"


class ParameterReader:
    """Reads the arguments of one call."""

    def __init__(self, texts: Set[str] = frozenset()) -> None:
        """`texts` are the parameters that are written as they are."""
        self._texts = texts
        self._state: Literal["border", "name", "value"] = "border"
        self._seen = ""
        """Of a fixed text or a name."""
        self._begun = False
        self._is_text = False
        self.complete = False
        """They have ended; nothing may be pushed."""

    def push(self, text: str) -> tuple[int, str]:
        """How many characters of the text belong to the arguments, and what they add to the JSON.

        Raises:
            CallMalformed: it is not of this form.
        """
        told: list[str] = []
        for place, character in enumerate(text):
            told.append(self._read(character))
            if self.complete:
                return place + 1, "".join(told)
        return len(text), "".join(told)

    def _read(self, character: str) -> str:
        self._seen += character
        match self._state:
            case "border":
                return self._read_border()
            case "name":
                return self._read_name()
            case "value":
                return self._read_value()

    def _read_border(self) -> str:
        if self._seen == _END:
            self.complete = True
            return "}" if self._begun else "{}"
        if self._seen == _OPENING:
            self._go_on("name")
        elif not (_END.startswith(self._seen) or _OPENING.startswith(self._seen)):
            raise CallMalformed
        return ""

    def _read_name(self) -> str:
        if not self._seen.endswith(_NAMED):
            return ""
        name = self._seen.removesuffix(_NAMED)
        self._is_text = name in self._texts
        before, self._begun = "," if self._begun else "{", True
        self._go_on("value")
        return f"{before}{json.dumps(name, ensure_ascii=False)}:{self._quote}"

    def _read_value(self) -> str:
        if self._seen == _CLOSING:
            self._go_on("border")
            return self._quote
        said = ""
        while not _CLOSING.startswith(self._seen):
            said, self._seen = said + self._seen[0], self._seen[1:]
        return json.dumps(said, ensure_ascii=False)[1:-1] if self._is_text else said

    def _go_on(self, state: Literal["border", "name", "value"]) -> None:
        self._state, self._seen = state, ""

    @property
    def _quote(self) -> str:
        return '"' if self._is_text else ""
