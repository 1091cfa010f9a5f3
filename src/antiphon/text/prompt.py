"""From messages to token ids, so that nobody but the template can write a control token.

Where a message spells out a control token (`<|im_end|>`), the text is broken there by a marker: a
private-use character that no message contains. After rendering, what still reads as a control token
was written by the template and becomes that token; then the markers are taken out again. Where no
message holds (part of) a control token no marker is used, and always the ids are those of the
rendered text with just the template's own control tokens recognised.

Invariant: the control ids of a prompt are those the template alone would write around any content.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from antiphon.core.errors import InvalidValue
from antiphon.core.messages import FunctionTool, Message, Tool, ToolCall
from antiphon.core.ports import ChatTemplate, Tokenizer
from antiphon.text.any_of import any_of
from antiphon.text.tools.custom import as_function, as_function_calls
from antiphon.text.tools.hermes import arguments_value

_PRIVATE_USE: Final = (*range(0xE000, 0xF900), *range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE))


_TOO_DEEP: Final = "A tool's parameters or a tool call's arguments are nested too deeply."


def encode_prompt(
    template: ChatTemplate,
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    options: Mapping[str, bool | str] = MappingProxyType({}),
) -> list[int]:
    """The prompt's token ids, ready for the assistant's turn. `options` are for the template.

    The model is told of custom tools as functions.

    Raises:
        InvalidValue: the template refuses this conversation.
    """
    controls = _Controls.of(tuple(tokenizer.special_tokens))
    said, functions = list(map(as_function_calls, messages)), list(map(as_function, tools))
    try:
        marker = _unused_character(said, functions)
        disarm = _Disarm(lambda text: _break(text, controls, marker))
        disarmed = list(map(disarm.message, said)), list(map(disarm.tool, functions))
    except RecursionError:
        raise InvalidValue(param="messages", reason=_TOO_DEEP, code=None) from None
    rendered = template.render(*disarmed, options)
    ids: list[int] = []
    swallow = False
    for place, piece in enumerate(controls.pattern.split(rendered)):
        if place % 2:  # the pattern has one group: every second piece is what it matched
            ids.append(tokenizer.special_tokens[piece])
            swallow = piece in tokenizer.swallowing_tokens
            continue
        plain = piece.replace(marker, "")
        if plain := plain.lstrip() if swallow else plain:
            ids += tokenizer.encode_plain(plain)
    return ids


@dataclass(frozen=True, slots=True)
class _Controls:
    """A tokenizer's control tokens, ready to be looked for."""

    pattern: re.Pattern[str]
    """Matches any of them, the longest where several begin together."""
    beginnings: frozenset[str]
    endings: frozenset[str]
    """Every proper prefix and suffix of any of them."""
    everything: str
    """All of them in one text, to look for what stands inside any."""
    longest: int

    @staticmethod
    @lru_cache(maxsize=8)
    def of(texts: tuple[str, ...]) -> "_Controls":
        """Compiled once per vocabulary, remembered for the few that one process serves."""
        # A token of one character could not be broken where a message holds it: it stays plain text.
        texts = tuple(text for text in texts if len(text) > 1)
        return _Controls(
            pattern=re.compile(f"({any_of(texts)})"),
            beginnings=frozenset(text[:end] for text in texts for end in range(1, len(text))),
            endings=frozenset(text[start:] for text in texts for start in range(1, len(text))),
            everything="\0".join(texts),
            longest=max(map(len, texts), default=0),
        )

    def may_end_in(self, text: str) -> bool:
        """Whether something before `text` could complete its start, or both sides all of it, to one of us."""
        return self._within(text) or any(text[:size] in self.endings for size in self._sizes(text))

    def may_begin_with(self, text: str) -> bool:
        """Whether something behind `text` could complete its end, or both sides all of it, to one of us."""
        return self._within(text) or any(text[-size:] in self.beginnings for size in self._sizes(text))

    def _within(self, text: str) -> bool:
        return 0 < len(text) < self.longest and text in self.everything

    def _sizes(self, text: str) -> range:
        return range(1, min(len(text), self.longest) + 1)


@dataclass(frozen=True, slots=True)
class _Disarm:
    """Breaks control tokens in every text that a template may write."""

    text: Callable[[str], str]

    def message(self, message: Message) -> Message:
        calls = tuple(map(self._call, message.tool_calls))
        name = message.name and self.text(message.name)
        reasoning = self.text(message.reasoning)
        content = self.text(message.content)
        return replace(message, content=content, name=name, tool_calls=calls, reasoning=reasoning)

    def tool(self, tool: FunctionTool) -> FunctionTool:
        description = tool.description and self.text(tool.description)
        return replace(tool, description=description, parameters=self._json(dict(tool.parameters)))

    def _call(self, call: ToolCall) -> ToolCall:
        """Templates write the arguments as text or as an object, whose texts JSON may have disguised."""
        value = arguments_value(call.arguments)
        broken = self._json(value)
        changed = broken != value and not isinstance(value, str)
        arguments = json.dumps(broken, ensure_ascii=False) if changed else self.text(call.arguments)
        return replace(call, name=self.text(call.name), arguments=arguments)

    def _json(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self._json(item) for key, item in value.items()}
        return [self._json(item) for item in value] if isinstance(value, list) else value


def _break(text: str, controls: _Controls, marker: str) -> str:
    """Put markers so that no control token can be read that has a character of `text` in it.

    Inside: behind the first character of each one spelled out, found anew after every break.
    At the edges: where the text could be one end of a control token whose rest the template or the
    next message supplies. Markers stand next to the first and last visible character, so that a
    template that trims white space trims the same; only a control token that itself begins or ends
    with white space moves them outwards.
    """
    position = 0
    pieces: list[str] = []
    while match := controls.pattern.search(text, position):
        pieces += (text[position : match.start() + 1], marker)
        position = match.start() + 1
    return _guard_edges("".join((*pieces, text[position:])), controls, marker)


def _guard_edges(text: str, controls: _Controls, marker: str) -> str:
    core = text.strip()
    if not core:
        risky = controls.may_end_in(text) or controls.may_begin_with(text)
        return f"{marker}{text}{marker}" if risky else text
    start = text.index(core)
    before, after = text[:start], text[start + len(core) :]
    if before and controls.may_end_in(text):
        before = marker + before
    elif controls.may_end_in(core):
        before += marker
    if after and controls.may_begin_with(text):
        after += marker
    elif controls.may_begin_with(core):
        after = marker + after
    return f"{before}{core}{after}"


def _unused_character(messages: Sequence[Message], tools: Sequence[FunctionTool]) -> str:
    used = set[str]().union(*_texts(messages, tools))
    free = next((code for code in _PRIVATE_USE if chr(code) not in used), None)
    if free is None:
        raise InvalidValue(param="messages", reason="The messages use every private-use character there is.")
    return chr(free)


def _texts(messages: Sequence[Message], tools: Sequence[FunctionTool]) -> Iterator[str]:
    for message in messages:
        yield message.content
        yield message.name or ""
        yield message.reasoning
        for call in message.tool_calls:
            yield call.name + call.arguments
            yield json.dumps(arguments_value(call.arguments), ensure_ascii=False)
    for tool in tools:
        yield tool.description or ""
        yield json.dumps(dict(tool.parameters), ensure_ascii=False)
