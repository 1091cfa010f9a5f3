"""The use case "complete a conversation": from a conversation to tokens, and from tokens to events.

`Completions.open` does all that can fail without running the model, and raises; what it returns
is iterated, and from then on a failure is an event. It knows no JSON field, no status code, and
neither the engine, the tokenizer nor the template behind the ports it is given.

Invariant: what `open` reserved (the lease and the engine's generation) is given back exactly once,
however the completion ends.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from antiphon.core.errors import (
    FunctionSchemaRefused,
    InvalidValue,
    JsonWordMissing,
    SchemaRefused,
    ToolGrammarRefused,
)
from antiphon.core.generation import Constraint
from antiphon.core.messages import (
    ChatRequest,
    ChoiceFormat,
    CustomTool,
    FunctionTool,
    JsonObjectFormat,
    PatternFormat,
    Tool,
)
from antiphon.core.ports import Tokenizer
from antiphon.service.admission import Admission, Lease
from antiphon.service.completion import Completion
from antiphon.service.generations import Generations, ModelParts, Prompted
from antiphon.service.prompts import INLINE_CHARS, Conversation, Prompts
from antiphon.service.schemas import HeldSchema
from antiphon.service.structures import Structure, Structures
from antiphon.service.verification import TEXT, AnswerCheck, AnswerSchemas
from antiphon.telemetry.metrics import ModelMetrics
from antiphon.text.full_match import full_match
from antiphon.text.reasoning import ReasoningBlock, behind_reasoning, block_behind
from antiphon.text.response_format import ANY_OBJECT
from antiphon.text.tools.custom import as_function, raw_grammars, written_texts
from antiphon.text.tools.grammar import CallRules, arguments_schema, can_stand_beside_calls, tool_constraint
from antiphon.text.tools.syntax import SYNTAXES, CallSyntax

_TAG: Final = re.compile(r"</?[\w:]+>|<\|\w+\|>|\[/?[A-Z_]+\]")
_TAIL_TOKENS: Final = 32
"""Enough of a prompt's end to see a tag in it, also where tokens are bytes."""


@dataclass(frozen=True, slots=True)
class CompletionsOptions:
    """Choices of policy."""

    require_json_word: bool = False
    """Refuse JSON mode when no message says "json", as OpenAI does; a grammar does not need it."""
    openai_strict_schemas: bool = False
    """Refuse strict schemas that OpenAI refuses, though they could be held."""
    inline_prompt_chars: int = INLINE_CHARS
    """Conversations up to this long are rendered and tokenized on the event loop, longer ones in a thread."""


class Completions:
    """Answers conversations. One for each model."""

    def __init__(
        self,
        parts: ModelParts,
        admission: Admission,
        options: CompletionsOptions = CompletionsOptions(),
        metrics: ModelMetrics | None = None,
    ) -> None:
        """Answer with `parts`, within the limits of `admission`."""
        self._parts = parts
        self._admission = admission
        self._options = options
        self._generations = Generations(parts, metrics)
        self._prompts = Prompts(parts, options.inline_prompt_chars)
        self._syntax = SYNTAXES[parts.template.call_syntax]
        self._controls = _controls(parts, self._syntax)
        if self._syntax.tag not in self._controls:
            self._syntax = replace(self._syntax, tag="")
        self._structures = Structures(parts.engine, subset_only=options.openai_strict_schemas)

    @property
    def at_hand(self) -> bool:
        """A request now would not wait for its model."""
        return self._parts.at_hand

    async def open(self, request: ChatRequest, project: str = "") -> Completion:
        """Everything that can be refused is refused here; the model has not run when this returns.

        Where the model is not loaded this waits for it, however long the engine's options let it.
        What is cached of a project's prompts is never found by another's.
        The completion must be closed: iterate its `events` under `contextlib.aclosing`.

        Raises:
            ContextLengthExceeded: the prompt leaves no room for an answer.
            SchemaRefused: a strict response format cannot be held.
            FunctionSchemaRefused: the parameters of a strict function cannot be held.
            ToolGrammarRefused: the grammar of a custom tool cannot be held.
            JsonWordMissing: JSON mode without the word, where that rule is on.
            InvalidValue: the model's template refuses this conversation, or a pattern cannot be held.
            Overloaded: no room now.
            EngineUnavailable: the engine is starting or down, or the model cannot be loaded.
        """
        self._check_json_word(request)
        began = time.monotonic()
        lease = self._admission.admit(request.choices)
        try:
            async with self._parts.held():
                return await self._open_admitted(request, project, lease, began)
        except BaseException:
            lease.release()
            raise

    async def _open_admitted(
        self, request: ChatRequest, project: str, lease: Lease, began: float
    ) -> Completion:
        conversation = Conversation(request.messages, request.tools, request.template_options)
        ids = await self._prompts.of_conversation(conversation)
        self._generations.room(len(ids))
        lease.add_prompt(len(ids))
        block = self._block_behind(ids)
        structure = await self._structure(request, block)
        prompted = Prompted(
            request.model,
            ids,
            project,
            began,
            structure=structure,
            tools=() if request.tool_choice.mode == "none" else request.tools,
            block=block,
            syntax=structure.syntax or self._syntax,
            controls=self._controls,
            call_reason="stop" if request.tool_choice.mode == "named" else "tool_calls",
        )
        return self._generations.begin(request, prompted, lease)

    def _block_behind(self, prompt: Sequence[int]) -> ReasoningBlock | None:
        """The block of reasoning that an answer to this prompt may begin with."""
        tokenizer, tags = self._parts.tokenizer, self._parts.template.reasoning_tags
        if tags is None:
            return None
        names = {token: text.encode() for text, token in tokenizer.special_tokens.items()}
        end = prompt[-_TAIL_TOKENS:]
        tail = b"".join(tokenizer.token_bytes(token) or names.get(token, b"") for token in end)
        return block_behind(tail.decode("utf-8", "replace"), tags)

    async def _structure(self, request: ChatRequest, block: ReasoningBlock | None) -> Structure:
        """The constraint to generate under, proved to compile, and what checks the answer."""
        structure = await self._structures.of_answer(request.response_format)
        if request.tools:
            structure = await self._tools(request, structure, block)
        if structure.constraint is None or block is None:
            return structure
        whole = behind_reasoning(structure.constraint, block, self._controls)
        await self._parts.engine.check(whole)
        checks = structure.schemas
        if checks and isinstance(request.response_format, PatternFormat | ChoiceFormat):
            # White space behind the block is taken off, and may have been the answer's own.
            checks = replace(checks, text=None, unread=checks.unread | TEXT)
        return Structure(whole, checks)

    async def _tools(
        self, request: ChatRequest, answer: Structure, block: ReasoningBlock | None
    ) -> Structure:
        """A constraint that lets the answer call; schemas that cannot be held are told or let go."""
        for place, tool in enumerate(request.tools):
            await self._check_grammar(place, tool)
        not_from = block.opening if block and not block.begun else ""
        rules = CallRules(
            self._syntax,
            raw_grammars(request.tools),
            self._controls,
            texts=written_texts(request.tools),
            not_from=not_from,
        )
        _check_answer_beside_calls(request, answer, rules)
        try:
            return await self._checked_tools(
                request, await self._functions(request, alone=False), answer, rules
            )
        except SchemaRefused:
            functions = await self._functions(request, alone=True)
        try:
            return await self._checked_tools(request, functions, answer, rules)
        except SchemaRefused:
            # Each compiles: it is their sum that goes beyond a bound.
            reason = "Invalid schemas in 'tools': together they are too complex."
            raise InvalidValue("tools", reason, code="invalid_function_parameters") from None

    async def _checked_tools(
        self,
        request: ChatRequest,
        functions: Sequence[tuple[FunctionTool, HeldSchema | None]],
        answer: Structure,
        rules: CallRules,
    ) -> Structure:
        tools = [replace(tool, parameters=held.schema) if held else tool for tool, held in functions]
        rules = rules.able_to_write(tools)
        constraint = tool_constraint(
            tools, request.tool_choice, request.parallel_tool_calls, answer.constraint, rules
        )
        await self._parts.engine.check(constraint)
        arguments: dict[str, AnswerCheck] = {tool.name: held.validator for tool, held in functions if held}
        arguments.update(_input_checks(request))
        unread = frozenset(
            tool.name
            for tool in request.tools
            if isinstance(tool, CustomTool) and tool.grammar and tool.name not in arguments
        )
        checks = answer.schemas or AnswerSchemas()
        checks = replace(checks, arguments=arguments, unread=checks.unread | unread)
        return Structure(constraint, checks, rules.syntax)

    async def _functions(
        self, request: ChatRequest, *, alone: bool
    ) -> list[tuple[FunctionTool, HeldSchema | None]]:
        """The tools as functions, with their parameters held; the input of a custom tool is no JSON."""
        return [
            (_held_input(tool), None)
            if isinstance(tool, CustomTool)
            else (tool, await self._parameters(place, tool, alone=alone))
            for place, tool in enumerate(request.tools)
        ]

    async def _parameters(self, place: int, tool: FunctionTool, *, alone: bool) -> HeldSchema:
        """Parameters as they can be held: their own, or any object where they are not strict.

        `alone`: the engine proves that these compile, and not only all together.
        """
        take = self._structures.schemas.hold if alone else self._structures.schemas.prepare
        try:
            if tool.strict:
                # OpenAI's rules are for what the caller wrote, not for what is added here.
                self._structures.schemas.check_subset(tool.parameters)
            return await take(arguments_schema(tool.parameters), strict=False)
        except SchemaRefused as refused:
            if tool.strict:
                raise FunctionSchemaRefused(place, tool.name, refused.reason, refused.context) from None
            return await self._structures.schemas.prepare(ANY_OBJECT, strict=False)

    async def _check_grammar(self, place: int, tool: Tool) -> None:
        """Prove that the grammar of a custom tool can be held, by itself and as an argument's pattern."""
        if not isinstance(tool, CustomTool) or tool.grammar is None:
            return
        checks = [Constraint(tool.grammar.syntax, tool.grammar.definition)]
        if tool.grammar.syntax == "regex":
            checks.append(_schema_constraint(_held_input(tool)))
        try:
            for check in checks:
                await self._parts.engine.check(check)
        except SchemaRefused as refused:
            raise ToolGrammarRefused(place, tool.name, refused.reason) from None

    def _check_json_word(self, request: ChatRequest) -> None:
        if not (self._options.require_json_word and isinstance(request.response_format, JsonObjectFormat)):
            return
        if not any("json" in message.content.lower() for message in request.messages):
            raise JsonWordMissing()


def _held_input(tool: CustomTool) -> FunctionTool:
    """The function that stands for a custom tool, with its pattern as it is compiled."""
    if tool.grammar is None or tool.grammar.syntax != "regex":
        return as_function(tool)
    grammar = replace(tool.grammar, definition=full_match(tool.grammar.definition)[0])
    return as_function(replace(tool, grammar=grammar))


def _input_checks(request: ChatRequest) -> Mapping[str, AnswerCheck]:
    """What checks the inputs of custom tools that have to match a pattern, by name."""
    checks = {
        tool.name: full_match(tool.grammar.definition)[1]
        for tool in request.tools
        if isinstance(tool, CustomTool) and tool.grammar is not None and tool.grammar.syntax == "regex"
    }
    return {name: check for name, check in checks.items() if check is not None}


def _controls(parts: ModelParts, syntax: CallSyntax) -> Mapping[str, int]:
    """The tags in a model's answers that are one token of its vocabulary, with their ids.

    Also those that are ordinary text kept whole: a grammar engine may not take them for text.
    """
    written = "".join((*(parts.template.reasoning_tags or ()), *syntax.texts))
    ids = {tag: _one_token(parts.tokenizer, tag) for tag in _TAG.findall(written)}
    return {tag: token for tag, token in ids.items() if token is not None}


def _one_token(tokenizer: Tokenizer, text: str) -> int | None:
    if text in tokenizer.special_tokens:
        return tokenizer.special_tokens[text]
    ids = tokenizer.encode_plain(text)
    return ids[0] if len(ids) == 1 and tokenizer.token_bytes(ids[0]) == text.encode() else None


def _check_answer_beside_calls(request: ChatRequest, answer: Structure, rules: CallRules) -> None:
    """Refuse a form of answers that may call instead, if it is of texts that could be calls."""
    wanted = request.response_format
    if not isinstance(wanted, PatternFormat | ChoiceFormat) or request.tool_choice.mode != "auto":
        return
    if isinstance(wanted, ChoiceFormat):
        openings = rules.syntax.openings(tool.name for tool in request.tools)
        clear = not any(opening in text for text in wanted.texts for opening in openings)
        clear &= bool(rules.syntax.opening) or not any(text.startswith("{") for text in wanted.texts)
    else:
        clear = answer.constraint is not None and can_stand_beside_calls(answer.constraint, rules)
    if not clear:
        reason = f"Invalid value for '{wanted.label}': it cannot be combined with 'tools'."
        raise InvalidValue(wanted.label, reason, code=None)


def _schema_constraint(tool: FunctionTool) -> Constraint:
    """The constraint that a function's arguments alone are under."""
    schema = json.dumps(dict(arguments_schema(tool.parameters)), ensure_ascii=False)
    return Constraint("json_schema", schema)
