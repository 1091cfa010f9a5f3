"""The use case "complete a conversation": from a conversation to tokens, and from tokens to events.

`Completions.open` does all that can fail without running the model, and raises; what it returns
is iterated, and from then on a failure is an event. It knows no JSON field, no status code, and
neither the engine, the tokenizer nor the template behind the ports it is given.

Invariant: what `open` reserved (the lease and the engine's generation) is given back exactly once,
however the completion ends.
"""

import asyncio
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

from antiphon.core.errors import (
    ContextLengthExceeded,
    FunctionSchemaRefused,
    InvalidValue,
    JsonWordMissing,
    SchemaRefused,
    ToolGrammarRefused,
)
from antiphon.core.generation import Constraint, GenerationRequest, SamplingParams
from antiphon.core.messages import (
    ChatRequest,
    ChoiceFormat,
    CustomTool,
    FunctionTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    Message,
    PatternFormat,
    ResponseFormat,
    SamplingOptions,
    ServiceTier,
    Tool,
)
from antiphon.core.ports import ChatTemplate, Engine, Tokenizer
from antiphon.service.admission import Admission, Lease
from antiphon.service.choice_calls import ChoiceCalls
from antiphon.service.choice_text import ChoiceText, SpelledTokenizer, TokenScorer
from antiphon.service.completion import Completion
from antiphon.service.measured import MeasuredGeneration
from antiphon.service.models import ModelRegistry
from antiphon.service.schemas import HeldSchema, Schemas
from antiphon.service.verification import AnswerSchemas, Verification
from antiphon.telemetry.metrics import Metrics
from antiphon.text.prompt import encode_prompt
from antiphon.text.reasoning import ReasoningBlock, ReasoningSplitter, behind_reasoning, block_behind
from antiphon.text.response_format import ANY_OBJECT, schema_of, text_constraint
from antiphon.text.stop import StopStrings
from antiphon.text.tools.custom import as_function, raw_grammars
from antiphon.text.tools.grammar import CallRules, arguments_schema, tool_constraint
from antiphon.text.tools.parser import CallForms
from antiphon.text.tools.syntax import SYNTAXES, CallSyntax

_PRIORITIES: Final[Mapping[ServiceTier, Literal[-1, 0, 1]]] = MappingProxyType(
    {"flex": -1, "default": 0, "priority": 1}
)
_TAG: Final = re.compile(r"</?[\w:]+>|\[/?[A-Z_]+\]")
_TAIL_TOKENS: Final = 32
"""Enough of a prompt's end to see a tag in it, also where tokens are bytes."""
MESSAGE_COST_CHARS = 32
"""What a message costs beyond its content to render, as characters that take as long (measured)."""


@dataclass(frozen=True, slots=True)
class CompletionsOptions:
    """Choices of policy."""

    require_json_word: bool = False
    """Refuse JSON mode when no message says "json", as OpenAI does; a grammar does not need it."""
    openai_strict_schemas: bool = False
    """Refuse strict schemas that OpenAI refuses, though they could be held."""
    inline_prompt_chars: int = 4096
    """Conversations up to this long are rendered and tokenized on the event loop, longer ones in a thread.

    Measured: 0.5 ms for 1,000 characters, 0.1 ms for the way to a thread and back.
    """


@dataclass(frozen=True, slots=True)
class _Structure:
    """What an answer is held to, and what it is checked against."""

    constraint: Constraint | None
    schemas: AnswerSchemas | None = None


@dataclass(frozen=True, slots=True)
class ModelParts:
    """What it takes to talk to one model."""

    engine: Engine
    tokenizer: Tokenizer
    template: ChatTemplate


class Completions:
    """Answers conversations. One for the whole server."""

    def __init__(
        self,
        parts: ModelParts,
        models: ModelRegistry,
        admission: Admission,
        options: CompletionsOptions = CompletionsOptions(),
        metrics: Metrics | None = None,
    ) -> None:
        """Answer with `parts`, under the names in `models`, within the limits of `admission`."""
        self._metrics = metrics or Metrics()
        self._parts = parts
        self._models = models
        self._admission = admission
        self._options = options
        self._scorer = TokenScorer(parts.tokenizer)
        self._syntax = SYNTAXES[parts.template.call_syntax]
        self._controls = _controls(parts, self._syntax)
        self._schemas = Schemas(parts.engine, subset_only=options.openai_strict_schemas)

    async def open(self, request: ChatRequest, project: str = "") -> Completion:
        """Everything that can be refused is refused here; the model has not run when this returns.

        What is cached of a project's prompts is never found by another's.
        The completion must be closed: iterate its `events` under `contextlib.aclosing`.

        Raises:
            ModelNotFound: no such model.
            ContextLengthExceeded: the prompt leaves no room for an answer.
            SchemaRefused: a strict response format cannot be held.
            FunctionSchemaRefused: the parameters of a strict function cannot be held.
            ToolGrammarRefused: the grammar of a custom tool cannot be held.
            JsonWordMissing: JSON mode without the word, where that rule is on.
            InvalidValue: the model's template refuses this conversation, or a pattern cannot be held.
            Overloaded: no room now.
            EngineUnavailable: the engine is starting or down.
        """
        self._models.resolve(request.model)
        self._check_json_word(request)
        began = time.monotonic()
        lease = self._admission.admit(request.choices)
        try:
            return await self._open_admitted(request, project, lease, began)
        except BaseException:
            lease.release()
            raise

    async def _open_admitted(
        self, request: ChatRequest, project: str, lease: Lease, began: float
    ) -> Completion:
        prompt = await self._encode(request)
        block = self._block_behind(prompt)
        room = self._parts.engine.info.context_length - len(prompt)
        if room < 1:
            raise ContextLengthExceeded(self._parts.engine.info.context_length, len(prompt))
        lease.add_prompt(len(prompt))
        structure = await self._structure(request, block)
        generation_request = GenerationRequest(
            id=secrets.token_hex(16),
            prompt=tuple(prompt),
            max_tokens=room if request.max_tokens is None else min(request.max_tokens, room),
            choices=request.choices,
            sampling=_sampling_params(request.sampling, request.top_logprobs),
            constraint=structure.constraint,
            stop_token_ids=request.stop_token_ids,
            ignore_eos=request.ignore_eos,
            min_tokens=request.min_tokens,
            cache_salt=json.dumps((project, request.cache_key)),
            priority=_PRIORITIES[request.tier],
        )
        completion = self._start(request, generation_request, block, lease, began)
        completion.verification = self._verification(request, structure)
        return completion

    def _start(
        self,
        request: ChatRequest,
        tokens: GenerationRequest,
        block: ReasoningBlock | None,
        lease: Lease,
        began: float,
    ) -> Completion:
        stops = StopStrings(request.stop)
        may_call = bool(request.tools) and request.tool_choice.mode != "none"
        openings = self._syntax.openings(tool.name for tool in request.tools)
        opening = StopStrings(openings) if may_call else None
        forms = _call_forms(request, self._syntax)
        spelled = SpelledTokenizer(self._parts.tokenizer, self._controls)
        texts = tuple(
            ChoiceText(
                spelled,
                self._scorer,
                stops,
                request.min_tokens,
                opening,
                reasoning=ReasoningSplitter(block) if block else None,
            )
            for _ in range(request.choices)
        )
        return Completion(
            id=tokens.id,
            created=int(time.time()),
            model=request.model,
            fingerprint=self._parts.engine.info.fingerprint,
            choices=request.choices,
            prompt_tokens=len(tokens.prompt),
            texts=texts,
            calls=tuple(ChoiceCalls(forms) for _ in range(request.choices)),
            generation=MeasuredGeneration(self._parts.engine.generate(tokens), tokens, self._metrics, began),
            lease=lease,
            seed=tokens.sampling.seed,
            tier=request.tier,
            call_reason="stop" if request.tool_choice.mode == "named" else "tool_calls",
        )

    def _verification(self, request: ChatRequest, structure: _Structure) -> Verification | None:
        """What looks at the answer; none where the caller's own stop tokens may cut it."""
        if structure.schemas is None or request.stop_token_ids:
            return None
        return Verification(structure.schemas, self._metrics)

    async def _encode(self, request: ChatRequest) -> list[int]:
        messages, tools, parts = request.messages, request.tools, self._parts
        if not tools and _prompt_chars(messages) <= self._options.inline_prompt_chars:
            return encode_prompt(parts.template, parts.tokenizer, messages, (), request.template_options)
        return await asyncio.to_thread(
            encode_prompt, parts.template, parts.tokenizer, messages, tools, request.template_options
        )

    def _block_behind(self, prompt: Sequence[int]) -> ReasoningBlock | None:
        """The block of reasoning that an answer to this prompt may begin with."""
        tokenizer, tags = self._parts.tokenizer, self._parts.template.reasoning_tags
        if tags is None:
            return None
        names = {token: text.encode() for text, token in tokenizer.special_tokens.items()}
        end = prompt[-_TAIL_TOKENS:]
        tail = b"".join(tokenizer.token_bytes(token) or names.get(token, b"") for token in end)
        return block_behind(tail.decode("utf-8", "replace"), tags)

    async def _structure(self, request: ChatRequest, block: ReasoningBlock | None) -> _Structure:
        """The constraint to generate under, proved to compile, and what checks the answer."""
        structure = await self._answer(request.response_format)
        if request.tools:
            _check_answers_beside_calls(request)
            structure = await self._tools(request, structure, block)
        if structure.constraint is None or block is None:
            return structure
        whole = behind_reasoning(structure.constraint, block, self._controls)
        await self._parts.engine.check(whole)
        return replace(structure, constraint=whole)

    async def _answer(self, wanted: ResponseFormat | None) -> _Structure:
        """What holds an answer that calls nothing."""
        if wanted is None:
            return _Structure(None)
        if isinstance(wanted, PatternFormat | ChoiceFormat):
            constraint = text_constraint(wanted)
            try:
                await self._parts.engine.check(constraint)
            except SchemaRefused as refused:
                raise InvalidValue(wanted.label, f"Invalid '{wanted.label}': {refused.reason}") from None
            return _Structure(constraint)
        held = await self._answer_schema(wanted)
        return _Structure(held.constraint, AnswerSchemas(held.validator))

    async def _answer_schema(self, wanted: JsonObjectFormat | JsonSchemaFormat) -> HeldSchema:
        name = wanted.name if isinstance(wanted, JsonSchemaFormat) else ""
        strict = isinstance(wanted, JsonSchemaFormat) and wanted.strict
        try:
            return await self._schemas.hold(schema_of(wanted), strict=strict)
        except SchemaRefused as refused:
            if strict or not name:
                raise SchemaRefused(name, refused.reason, refused.context) from None
            return await self._schemas.hold(ANY_OBJECT, strict=False)

    async def _tools(
        self, request: ChatRequest, answer: _Structure, block: ReasoningBlock | None
    ) -> _Structure:
        """A constraint that lets the answer call; schemas that cannot be held are told or let go."""
        for place, tool in enumerate(request.tools):
            await self._check_grammar(place, tool)
        not_from = block.opening if block and not block.begun else ""
        rules = CallRules(self._syntax, raw_grammars(request.tools), self._controls, not_from)
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
        answer: _Structure,
        rules: CallRules,
    ) -> _Structure:
        tools = [replace(tool, parameters=held.schema) if held else tool for tool, held in functions]
        constraint = tool_constraint(
            tools, request.tool_choice, request.parallel_tool_calls, answer.constraint, rules
        )
        await self._parts.engine.check(constraint)
        arguments = {tool.name: held.validator for tool, held in functions if held}
        text = answer.schemas.text if answer.schemas else None
        return _Structure(constraint, AnswerSchemas(text, arguments))

    async def _functions(
        self, request: ChatRequest, *, alone: bool
    ) -> list[tuple[FunctionTool, HeldSchema | None]]:
        """The tools as functions, with their parameters held; the input of a custom tool is no JSON."""
        return [
            (as_function(tool), None)
            if isinstance(tool, CustomTool)
            else (tool, await self._parameters(place, tool, alone=alone))
            for place, tool in enumerate(request.tools)
        ]

    async def _parameters(self, place: int, tool: FunctionTool, *, alone: bool) -> HeldSchema:
        """Parameters as they can be held: their own, or any object where they are not strict.

        `alone`: the engine proves that these compile, and not only all together.
        """
        take = self._schemas.hold if alone else self._schemas.prepare
        try:
            if tool.strict:
                # OpenAI's rules are for what the caller wrote, not for what is added here.
                self._schemas.check_subset(tool.parameters)
            return await take(arguments_schema(tool.parameters), strict=False)
        except SchemaRefused as refused:
            if tool.strict:
                raise FunctionSchemaRefused(place, tool.name, refused.reason, refused.context) from None
            return await self._schemas.prepare(ANY_OBJECT, strict=False)

    async def _check_grammar(self, place: int, tool: Tool) -> None:
        """Prove that the grammar of a custom tool can be held, by itself and as an argument's pattern."""
        if not isinstance(tool, CustomTool) or tool.grammar is None:
            return
        checks = [Constraint(tool.grammar.syntax, tool.grammar.definition)]
        if tool.grammar.syntax == "regex":
            checks.append(_schema_constraint(as_function(tool)))
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


def _check_answers_beside_calls(request: ChatRequest) -> None:
    """Refuse patterns for answers that may call instead: only JSON can be told from a call for sure."""
    wanted = request.response_format
    if isinstance(wanted, PatternFormat | ChoiceFormat) and request.tool_choice.mode == "auto":
        reason = f"Invalid value for '{wanted.label}': it cannot be combined with 'tools'."
        raise InvalidValue(wanted.label, reason, code=None)


def _schema_constraint(tool: FunctionTool) -> Constraint:
    """The constraint that a function's arguments alone are under."""
    schema = json.dumps(dict(arguments_schema(tool.parameters)), ensure_ascii=False)
    return Constraint("json_schema", schema)


def _call_forms(request: ChatRequest, syntax: CallSyntax) -> CallForms:
    custom = frozenset(tool.name for tool in request.tools if isinstance(tool, CustomTool))
    return CallForms(syntax, custom, raw_grammars(request.tools).keys())


def _prompt_chars(messages: Sequence[Message]) -> int:
    """How long a conversation takes to render, in characters."""
    calls = sum(len(call.arguments) for message in messages for call in message.tool_calls)
    return calls + sum(len(message.content) + MESSAGE_COST_CHARS for message in messages)


def _sampling_params(options: SamplingOptions, top_logprobs: int | None) -> SamplingParams:
    """The same choices in the engine's terms; a call without a seed draws one of its own."""
    return SamplingParams(
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        min_p=options.min_p,
        frequency_penalty=options.frequency_penalty,
        presence_penalty=options.presence_penalty,
        repetition_penalty=options.repetition_penalty,
        logit_bias=tuple(options.logit_bias.items()),
        seed=secrets.randbits(63) if options.seed is None else options.seed,
        top_logprobs=top_logprobs,
    )
