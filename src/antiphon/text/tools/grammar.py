"""What an answer with tools may be, as one Lark grammar: text, a JSON answer, or calls.

Every call names a tool that may be called, and its arguments satisfy that tool's schema, whatever
the model would have liked to write. Text may hold anything except what opens a call: it is read as
one, so it has to be one. After the calls nothing follows. A call whose input is raw is the only one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Final

from antiphon.core.generation import Constraint
from antiphon.core.messages import FunctionTool, ToolChoice
from antiphon.text.lark import (
    Spelling,
    constraint_rule,
    json_rule,
    nested_rule,
    text_to,
    text_without,
    unless_from,
    unless_within,
)
from antiphon.text.schema.watching import needs_watching
from antiphon.text.tools.custom import INPUT_OPENING
from antiphon.text.tools.parameters import is_writable, parameter_rules
from antiphon.text.tools.syntax import HERMES, CallSyntax

MAX_CALLS: Final = 16
"""Calls of one answer at most: a model that cannot stop calling is stopped."""

_JSON_PIECES: Final = re.compile(r'^\{|(?<=^\{)"\w+"|(?<="):|(?<=":).+', re.DOTALL)
_OPENS_OTHERWISE: Final = frozenset(
    {"additionalProperties", "patternProperties", "unevaluatedProperties", "propertyNames", "$ref"}
    | {"anyOf", "oneOf", "allOf", "enum", "const"}
)


@dataclass(frozen=True)
class CallRules:
    """What calls look like, of one model and one request."""

    syntax: CallSyntax = HERMES
    raw: Mapping[str, str] = field(default_factory=dict)
    """By name: the Lark grammar of tools whose input is written as it is."""
    controls: Mapping[str, int] = field(default_factory=dict)
    """The parts of the syntax that are control tokens, with their ids."""
    texts: Mapping[str, Set[str]] = field(default_factory=dict)
    """By name: the parameters that are written as they are, where arguments are written one by one."""
    not_from: str = ""
    """How no text begins, because it would be read as something else."""

    def able_to_write(self, tools: Sequence[FunctionTool]) -> "CallRules":
        """The same rules, with another syntax where theirs cannot express the arguments of some tool."""
        writable = all(is_writable(arguments_schema(tool.parameters)) for tool in tools)
        return (
            self
            if not self.syntax.in_parameters or (writable and not self.raw)
            else replace(self, syntax=HERMES)
        )


def tool_constraint(
    tools: Sequence[FunctionTool],
    choice: ToolChoice,
    parallel: bool,
    answer: Constraint | None,
    rules: CallRules = CallRules(),
) -> Constraint:
    """What holds an answer to the tools, the caller's choice of them, and the format of other answers.

    `answer` is what holds an answer that calls nothing; None stands for any text. A Lark grammar must not
    be able to write what opens a call; see `can_stand_beside_calls`.
    """
    openings = rules.syntax.openings(tool.name for tool in tools)
    if choice.mode == "none":
        return answer or Constraint("lark", f"start: TEXT\nTEXT: {text_without(openings, rules.not_from)}\n")
    callable_tools = [tool for tool in tools if choice.names is None or tool.name in choice.names]
    several = parallel and choice.mode != "named" and rules.syntax.between is not None
    grammar = _Grammar(rules, callable_tools, MAX_CALLS if several else 1)
    lines = [*grammar.start(choice.mode == "auto", answer, openings), *grammar.calls()]
    behind = grammar.json_behind()
    if choice.mode == "auto" and answer is not None:
        behind |= set(answer.json_behind)
    return Constraint("lark", "\n".join(lines) + "\n", tuple(sorted(behind)))


def can_stand_beside_calls(answer: Constraint, rules: CallRules) -> bool:
    """Whether answers under this constraint can be told from calls: by a token or by their text."""
    if not rules.syntax.opening:
        return answer.kind == "json_schema"  # A call is read in its pieces, as an answer in JSON is.
    return answer.kind != "lark" or rules.syntax.opening in rules.controls


def arguments_schema(parameters: Mapping[str, object]) -> Mapping[str, object]:
    """The schema that arguments are held to.

    It says `object`, and leaves out properties that nobody described unless the caller's schema
    speaks of them: an answer without them is valid too, and a small model would invent some.
    """
    schema = dict(parameters) | {"type": "object"}
    if not _OPENS_OTHERWISE & schema.keys() and _describes_all_required(schema):
        schema["additionalProperties"] = False
    return schema


def _describes_all_required(schema: Mapping[str, object]) -> bool:
    described, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(described, Mapping) or not isinstance(required, list):
        return False
    return all(isinstance(name, str) and name in described for name in required)


class _Grammar:
    """The rules of one grammar.

    `call_0` is a call behind what opens it, from its name on; `bare_0` is a whole one of a syntax
    in which nothing else opens a call.
    """

    def __init__(self, rules: CallRules, tools: Sequence[FunctionTool], most: int) -> None:
        self._syntax = rules.syntax
        self._raw = rules.raw
        self._texts = rules.texts
        self._spelling = Spelling(rules.controls)
        self._tools = tools
        self._most = most
        self._not_from = rules.not_from

    def start(self, auto: bool, answer: Constraint | None, openings: Sequence[str]) -> Iterator[str]:
        """The rules from which everything begins."""
        opening = self._syntax.opening
        calls = [f"{self._literal(opening)} called"] if opening else [*self._places("bare"), *self._tagged()]
        if auto and answer is not None:
            yield f"start: {' | '.join(('answer', *calls))}"
            yield from self._answer(answer, openings)
        elif auto:
            yield f"start: {' | '.join(('TEXT', *self._after_text()))}"
            yield f"TEXT: {text_without(openings, self._not_from)}"
            yield from self._texts_to()
        else:
            yield f"start: {' | '.join(calls)}"

    def _answer(self, answer: Constraint, openings: Sequence[str]) -> Iterator[str]:
        """A text of the caller's own form: it holds nothing that would be read as a call."""
        if answer.kind != "regex":
            yield constraint_rule("answer", answer)
            return
        yield "answer: ANSWER"
        yield reduce(unless_within, openings, constraint_rule("ANSWER", answer))

    def _after_text(self) -> Sequence[str]:
        """Calls behind a text that may be empty."""
        opening = self._syntax.opening
        if not opening:
            behind_text = [f"text_and_bare_{place} rest_{place}" for place in range(len(self._tools))]
            return [*behind_text, *(f"TEXT {call}" for call in self._tagged())]
        if self._spelling.is_control(opening):
            return [f"TEXT {self._literal(opening)} called"]
        return ["text_and_opening called"]

    def _tagged(self) -> list[str]:
        """Calls behind a tag, where it is a token that no text can hold."""
        tag = self._syntax.tag
        return [
            f"{self._literal(tag)} {call}" for call in self._places("bare") if self._spelling.is_control(tag)
        ]

    def _texts_to(self) -> Iterator[str]:
        opening = self._syntax.opening
        if not opening:
            for place, tool in enumerate(self._tools):
                yield from self._text_to(f"text_and_bare_{place}", self._syntax.head(tool.name))
        elif not self._spelling.is_control(opening):
            yield from self._text_to("text_and_opening", opening)

    def _text_to(self, rule: str, end: str) -> Iterator[str]:
        plain = body = text_to([end])
        if self._tagged():
            body = unless_within(body, self._syntax.tag)
        if self._not_from:
            body = unless_from(body, self._not_from)
        if body == plain:
            yield f"{rule}[lazy]: {body}"
            return
        yield f"{rule}[lazy]: {rule.upper()}"
        yield f"{rule.upper()}: {body}"

    def calls(self) -> Iterator[str]:
        """The rules of calls."""
        if self._syntax.opening:
            yield from self._called()
        for place, tool in enumerate(self._tools):
            head = f"{self._syntax.before_name}{tool.name}{self._syntax.before_arguments}"
            if self._syntax.opening:
                yield f"call_{place}: {self._literal(head)} rest_{place}"
            else:
                # In the pieces in which JSON is read: an answer in JSON may begin alike.
                yield f"bare_{place}: {' '.join(map(self._literal, _JSON_PIECES.findall(head)))} rest_{place}"
            yield from self._rest(place, tool)

    def json_behind(self) -> set[str]:
        """The heads of calls whose arguments have to be watched."""
        return {
            f"{self._syntax.before_name}{tool.name}{self._syntax.before_arguments}"
            for tool in self._tools
            if tool.name not in self._raw and needs_watching(arguments_schema(tool.parameters))
        }

    def _called(self) -> Iterator[str]:
        before = self._literal(self._syntax.before_first)
        ways = []
        if encoded := self._places("call", raw=False):
            more = f"({self._literal(self._syntax.between or '')} call){{0,{self._most - 1}}}"
            ways.append(
                f"{before} call {more if self._most > 1 else ''} {self._literal(self._syntax.closing)}"
            )
            yield f"call: {' | '.join(encoded)}"
        ways += [f"{before} {call}" for call in self._places("call", raw=True)]
        yield f"called: {' | '.join(' '.join(way.split()) for way in ways)}"

    def _rest(self, place: int, tool: FunctionTool) -> Iterator[str]:
        """A call from its arguments on."""
        if tool.name in self._raw:
            yield f"rest_{place}: {self._literal(INPUT_OPENING)} input_{place}"
            yield nested_rule(f"input_{place}", self._raw[tool.name])
        else:
            yield f"rest_{place}: arguments_{place} {self._literal(self._syntax.after_arguments)}"
            yield from self._arguments(f"arguments_{place}", tool)

    def _arguments(self, rule: str, tool: FunctionTool) -> Iterator[str]:
        schema = arguments_schema(tool.parameters)
        if self._syntax.in_parameters:
            texts = self._texts.get(tool.name, frozenset())
            yield from parameter_rules(rule, schema, texts, self._literal)
        else:
            yield json_rule(rule, schema)

    def _places(self, rule: str, raw: bool | None = None) -> list[str]:
        """The rules of this name, one for each tool, or for those whose input is raw or is not."""
        return [
            f"{rule}_{place}"
            for place, tool in enumerate(self._tools)
            if raw is None or (tool.name in self._raw) == raw
        ]

    def _literal(self, text: str) -> str:
        return self._spelling.literal(text)
