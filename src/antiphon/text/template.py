"""The model's chat template: a conversation in, the prompt's text out.

Templates are Jinja programs that come with model files, so they run in an immutable sandbox with a
bounded output, under the same settings and with the same extras that `transformers` gives them.
What templates cannot take is adapted first: `developer` is `system` and `function` is `tool`; system
messages they refuse or drop are merged or said by the user; turns that must alternate are joined, and
calls that must come one at a time are told so; tools they do not know, or know in none of the syntaxes
of `tools.syntax`, are told in plain messages. What they can take was tried out once, at construction.

Invariant: rendering is a pure function of the conversation (and of the date, for templates that ask).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Final

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from antiphon.core.errors import InvalidValue
from antiphon.core.messages import FunctionTool, Message, Role, ToolCall
from antiphon.text.reasoning import tags_in, without_reasoning
from antiphon.text.tools.hermes import arguments_value, tool_object
from antiphon.text.tools.syntax import SYNTAXES, syntax_of
from antiphon.text.tools.written import written_out

_PROBE: Final = "antiphon-probe"
_PROBE_USER: Final = Message("user", f"{_PROBE}-user")
_MAX_PROMPT_CHARACTERS: Final = 8 << 20
_MODERN_ROLES: Final[Mapping[Role, Role]] = MappingProxyType({"developer": "system", "function": "tool"})
_REFUSAL: Final = "The model's chat template does not accept this sequence of messages."
_TOO_LONG: Final = "The rendered conversation is longer than this server accepts."


class JinjaChatTemplate:
    """Implements `ports.ChatTemplate`. Safe to call from any thread."""

    def __init__(
        self,
        source: str,
        bos_token: str = "",
        eos_token: str = "",
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """Compile the template and try out which system messages it takes.

        Raises:
            ValueError: the template is not valid Jinja.
        """
        environment = _environment(now)
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise ValueError(f"the chat template is not valid Jinja: {error}") from error
        self.reasoning_tags = tags_in(source)
        """As `ports.ChatTemplate` has it."""
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._one_system = self._keeps("system", "user")
        self._many_systems = self._keeps("system", "system", "user")
        self._late_system = self._keeps("user", "assistant", "system", "user")
        refused = self._refuses("user", "user") or self._refuses("user", "assistant", "assistant", "user")
        self._alternates = refused and not self._refuses("user", "assistant", "user")
        self._user_first = self._refuses("assistant", "user") and not self._refuses("user", "assistant")
        syntax = self._known_syntax()
        self._knows_tools = syntax is not None
        self._many_calls = self._knows_tools and self._keeps_calls(2)
        self.call_syntax = syntax or "hermes"
        """As `ports.ChatTemplate` has it."""

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[FunctionTool] = (),
        options: Mapping[str, bool | str] = MappingProxyType({}),
    ) -> str:
        """The prompt text, special tokens spelled out, ready for the assistant's turn.

        Raises:
            InvalidValue: the template refuses this conversation, or writes too much.
        """
        if self._knows_tools:
            prompt = self._write(self._adapt(messages), tools, options)
        else:
            prompt = self._write(self._adapt(written_out(messages, tools)), (), options)
        # Some open the block of reasoning whatever they are told.
        return without_reasoning(prompt, self.reasoning_tags) if _unthinking(options) else prompt

    def _write(
        self,
        messages: Sequence[Message],
        tools: Sequence[FunctionTool] = (),
        options: Mapping[str, bool | str] = MappingProxyType({}),
    ) -> str:
        pieces: list[str] = []
        size = 0
        ids = _numbered_calls(messages)
        variables: dict[str, Any] = {
            **options,
            "messages": [_as_dict(message, ids) for message in messages],
            "tools": [tool_object(tool) for tool in tools] or None,
            "add_generation_prompt": True,
        }
        try:
            for piece in self._template.generate(**variables, **self._tokens):
                size += len(piece)
                if size > _MAX_PROMPT_CHARACTERS:
                    raise InvalidValue(param="messages", reason=_TOO_LONG, code=None)
                pieces.append(piece)
        except InvalidValue:
            raise
        except Exception as error:  # a foreign program: whatever it raises is its way to refuse
            raise InvalidValue(param="messages", reason=_REFUSAL, code=None) from error
        return "".join(pieces)

    def _keeps(self, *roles: Any) -> bool:
        """Whether a conversation of these roles is accepted and every word of it is written, in order."""
        messages = [Message(role, f"antiphon-probe-{place}-") for place, role in enumerate(roles)]
        try:
            text = self._write(messages)
        except InvalidValue:
            return False
        places = [text.find(message.content) for message in messages]
        return -1 not in places and places == sorted(places)

    def _refuses(self, *roles: Any) -> bool:
        try:
            self._write([Message(role, _PROBE) for role in roles])
        except InvalidValue:
            return True
        return False

    def _known_syntax(self) -> str | None:
        """The syntax of calls, if a tool, a call and its result are accepted and written."""
        name = f"{_PROBE}-call-0"
        try:
            text, plain = self._with_calls(1), self._write([_PROBE_USER, Message("assistant", name)])
        except InvalidValue:
            return None
        wanted = ("tool", "description", "argument", "result-0")
        key = syntax_of(text, name)
        if key is None or not all(f"{_PROBE}-{word}" in text for word in wanted):
            return None
        syntax = SYNTAXES[key]
        # Without an opening of its own a call must stand where text would: else it has another one.
        alike = _before(text, syntax.head(name)).removesuffix(syntax.tag).strip() == _before(plain, name)
        return key if syntax.opening or alike else None

    def _keeps_calls(self, count: int) -> bool:
        """Whether so many calls of one message, and their results, are accepted and written."""
        try:
            text = self._with_calls(count)
        except InvalidValue:
            return False
        return all(
            f"{_PROBE}-{word}-{place}" in text for word in ("call", "result") for place in range(count)
        )

    def _with_calls(self, count: int) -> str:
        arguments = json.dumps({"argument": f"{_PROBE}-argument"})
        calls = tuple(ToolCall(str(n), f"{_PROBE}-call-{n}", arguments) for n in range(count))
        results = [Message("tool", f"{_PROBE}-result-{n}", tool_call_id=str(n)) for n in range(count)]
        messages = [_PROBE_USER, Message("assistant", "", tool_calls=calls), *results]
        return self._write(messages, [FunctionTool(f"{_PROBE}-tool", f"{_PROBE}-description")])

    def _adapt(self, messages: Sequence[Message]) -> list[Message]:
        """The same conversation in roles the template takes; no text is lost."""
        named = [replace(m, role=_MODERN_ROLES.get(m.role, m.role)) for m in messages]
        split = next((place for place, m in enumerate(named) if m.role != "system"), len(named))
        leading, rest = named[:split], named[split:]
        if len(leading) > 1 and not self._many_systems:
            leading = [replace(leading[0], content=_join(leading))]
        if not self._one_system:
            leading = [replace(message, role="user") for message in leading]
        if not self._late_system:
            rest = _as_user_text(rest)
        if not self._many_calls:
            rest = _one_call_at_a_time(rest)
        if leading and rest and leading[-1].role == rest[0].role == "user":
            rest = [replace(rest[0], content=_join([leading[-1], rest[0]])), *rest[1:]]
            leading = leading[:-1]
        return self._alternating([*leading, *rest])

    def _alternating(self, turns: list[Message]) -> list[Message]:
        """The same turns, the user's first and none of one role behind another where that must be."""
        first = next((place for place, turn in enumerate(turns) if turn.role != "system"), 0)
        if self._user_first and turns and turns[first].role == "assistant":
            turns.insert(first, Message("user", ""))
        return _joined(turns) if self._alternates else turns


def _before(text: str, part: str) -> str:
    """What stands between the probe's user and a part of the text, but for white space around it."""
    return text.partition(_PROBE_USER.content)[2].partition(part)[0].strip()


def _unthinking(options: Mapping[str, bool | str]) -> bool:
    return options.get("enable_thinking") is False or options.get("thinking") is False


def _one_call_at_a_time(messages: Sequence[Message]) -> list[Message]:
    """Each call of one message in a message of its own, with its results right behind it."""
    turns: list[Message] = []
    place = 0
    while place < len(messages):
        message = messages[place]
        place += 1
        if len(message.tool_calls) < 2:
            turns.append(message)
            continue
        results = list(takewhile(lambda turn: turn.tool_call_id is not None, messages[place:]))
        place += len(results)
        for number, call in enumerate(message.tool_calls):
            said = message if number == 0 else replace(message, content="", reasoning="")
            turns.append(replace(said, tool_calls=(call,)))
            turns += [result for result in results if result.tool_call_id == call.id]
    return turns


def _joined(turns: Sequence[Message]) -> list[Message]:
    """Neighbours of one role as one; calls and results stay by themselves."""
    joined: list[Message] = []
    for turn in turns:
        plain = turn.role in ("user", "assistant") and not turn.tool_calls
        if joined and plain and joined[-1].role == turn.role and not joined[-1].tool_calls:
            joined[-1] = replace(joined[-1], content=_join([joined[-1], turn]))
        else:
            joined.append(turn)
    return joined


def _as_user_text(messages: Sequence[Message]) -> list[Message]:
    """Let the user say what later system messages say, in one turn with the user's own words around it."""
    turns: list[Message] = []
    glue = False
    for message in messages:
        late = message.role == "system"
        said = replace(message, role="user") if late else message
        if turns and turns[-1].role == said.role == "user" and (late or glue):
            turns[-1] = replace(turns[-1], content=_join([turns[-1], said]))
        else:
            turns.append(said)
        glue = late
    return turns


def _join(messages: Sequence[Message]) -> str:
    return "\n\n".join(message.content for message in messages if message.content)


def _numbered_calls(messages: Sequence[Message]) -> dict[str, str]:
    """Another id for each call: nine digits, which every template takes, and the same in every prompt."""
    ids = [call.id for message in messages for call in message.tool_calls]
    return {call_id: f"{place:09}" for place, call_id in enumerate(dict.fromkeys(ids))}


def _as_dict(message: Message, ids: dict[str, str]) -> dict[str, Any]:
    """A message as templates expect it: the API's own form, with arguments as an object."""
    fields: dict[str, Any] = {"role": str(message.role), "content": message.content}
    if message.name is not None:
        fields["name"] = message.name
    if message.tool_call_id is not None:
        fields["tool_call_id"] = ids.get(message.tool_call_id, "")
    if message.reasoning:
        fields["reasoning_content"] = fields["reasoning"] = message.reasoning
    if message.tool_calls:
        fields["tool_calls"] = [_call_as_dict(call, ids) for call in message.tool_calls]
    return fields


def _call_as_dict(call: ToolCall, ids: dict[str, str]) -> dict[str, Any]:
    function = {"name": call.name, "arguments": arguments_value(call.arguments)}
    return {"id": ids[call.id], "type": "function", "function": function}


def _environment(now: Callable[[], datetime]) -> ImmutableSandboxedEnvironment:
    """Jinja as `transformers` sets it up for chat templates."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _GenerationBlock]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: now().strftime(form)
    return environment


def _to_json(value: object, ensure_ascii: bool = False, indent: int | None = None, **layout: Any) -> str:
    """Plain JSON: Jinja's own filter escapes for HTML, which models were not trained on."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **layout)


def _raise_exception(reason: str) -> None:
    raise jinja2.TemplateError(reason)


class _GenerationBlock(Extension):
    """`{% generation %}…{% endgeneration %}` marks training data; a prompt is what stands inside."""

    tags = {"generation"}  # noqa: RUF012 - the attribute as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Keep the block's body, drop its frame."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)
