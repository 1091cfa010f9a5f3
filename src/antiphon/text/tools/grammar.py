"""What an answer with tools may be, as one Lark grammar: text, a JSON answer, or calls.

Every call names a function that may be called, and its arguments satisfy that function's schema,
whatever the model would have liked to write. Text may hold anything except the tag that opens a
call: it is read as one, so it has to be one. After the calls nothing follows.
Source: llguidance's Lark dialect (`docs/syntax.md`): `%json` holds a schema, `lazy` ends at the
first match, `&` and `~` are intersection and complement.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from antiphon.core.generation import Constraint
from antiphon.core.messages import FunctionTool, ToolChoice
from antiphon.text.tools.hermes import (
    AFTER_ARGUMENTS,
    BEFORE_ARGUMENTS,
    BEFORE_NAME,
    BETWEEN_CALLS,
    OPENING,
)

MAX_CALLS: Final = 16
"""Calls of one answer at most: a model that cannot stop calling is stopped."""

_ANY_TEXT: Final = "(?s:.*)"
_TEXT_RULE: Final = f"TEXT: /{_ANY_TEXT}/ & ~/{_ANY_TEXT}{OPENING}{_ANY_TEXT}/"
_TEXT_AND_OPENING_RULE: Final = f"text_and_opening[lazy]: /{_ANY_TEXT}{OPENING}/"
_OPENS_OTHERWISE: Final = frozenset(
    {"additionalProperties", "patternProperties", "unevaluatedProperties", "$ref", "anyOf", "oneOf", "allOf"}
)


def tool_constraint(
    tools: Sequence[FunctionTool], choice: ToolChoice, parallel: bool, answer: Constraint | None
) -> Constraint:
    """What holds an answer to the tools, the caller's choice of them, and the format of other answers.

    `answer` is the JSON Schema of an answer that calls nothing; None stands for any text.
    """
    if choice.mode == "none":
        return answer or Constraint("lark", f"start: TEXT\n{_TEXT_RULE}\n")
    callable_tools = [tool for tool in tools if choice.names is None or tool.name in choice.names]
    more = f"({_quoted(BETWEEN_CALLS)} call){{0,{MAX_CALLS - 1}}}"
    calls = f"call {more}" if parallel and choice.mode != "named" else "call"
    rules = [*_start_rules(choice, calls, answer), *_call_rules(callable_tools)]
    return Constraint("lark", "\n".join(rules) + "\n")


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


def _start_rules(choice: ToolChoice, calls: str, answer: Constraint | None) -> list[str]:
    if choice.mode != "auto":
        return [f"start: {_quoted(OPENING)} {calls}"]
    if answer is not None:
        return [f"start: answer | {_quoted(OPENING)} {calls}", _json_rule("answer", json.loads(answer.text))]
    return [f"start: TEXT | text_and_opening {calls}", _TEXT_RULE, _TEXT_AND_OPENING_RULE]


def _call_rules(tools: Sequence[FunctionTool]) -> list[str]:
    rules = ["call: " + " | ".join(f"call_{place}" for place in range(len(tools)))]
    for place, tool in enumerate(tools):
        head = _quoted(f'{BEFORE_NAME}{tool.name}"{BEFORE_ARGUMENTS}')
        rules.append(f"call_{place}: {head} arguments_{place} {_quoted(AFTER_ARGUMENTS)}")
        rules.append(_json_rule(f"arguments_{place}", arguments_schema(tool.parameters)))
    return rules


def _json_rule(name: str, schema: Mapping[str, object]) -> str:
    compact = {**schema, "x-guidance": {"whitespace_flexible": False}}
    return f"{name}: %json {json.dumps(compact, ensure_ascii=False)}"


def _quoted(literal: str) -> str:
    return json.dumps(literal)
