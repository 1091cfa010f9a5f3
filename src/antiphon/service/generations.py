"""The start of a generation, the same for every use case: prompt ids in, an open completion out.

What the ids are made of, and what they may be answered with, is decided before; what the answer
means, in `completion`.

Invariant: what `begin` is given ends in the completion that it returns: its lease, and the engine's
generation.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal

from antiphon.core.errors import AntiphonError, ContextLengthExceeded, UnsupportedParameter
from antiphon.core.events import Failed, FinishReason
from antiphon.core.generation import GenerationRequest, SamplingParams
from antiphon.core.messages import (
    AnswerOptions,
    CustomTool,
    SamplingOptions,
    ServiceTier,
    Tool,
)
from antiphon.core.ports import ChatTemplate, Engine, Tokenizer
from antiphon.service.admission import Lease
from antiphon.service.choice_calls import ChoiceCalls
from antiphon.service.choice_text import ChoiceText, SpelledTokenizer, TokenScorer
from antiphon.service.completion import Completion
from antiphon.service.measured import MeasuredGeneration
from antiphon.service.structures import UNHELD, Structure
from antiphon.service.verification import AnswerSchemas, Verification
from antiphon.telemetry.metrics import Metrics, ModelMetrics
from antiphon.telemetry.traces import NO_TRACES, Asked, CompletionSpan, Operation, Traces
from antiphon.text.reasoning import ReasoningBlock, ReasoningSplitter
from antiphon.text.stop import StopStrings
from antiphon.text.tools.custom import raw_grammars, written_texts
from antiphon.text.tools.parser import CallForms
from antiphon.text.tools.syntax import HERMES, CallSyntax

_PRIORITIES: Final[Mapping[ServiceTier, Literal[-1, 0, 1]]] = MappingProxyType(
    {"flex": -1, "default": 0, "priority": 1}
)

_FREE_TEXT_ONLY: Final = "free text only, not answers that are held to a schema, a grammar or tools."


@dataclass(frozen=True, slots=True)
class ModelParts:
    """What it takes to talk to one model."""

    engine: Engine
    tokenizer: Tokenizer
    template: ChatTemplate
    traces: Traces = NO_TRACES
    """Where it is told what became of requests to it."""
    held: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    """Within the block that it gives the engine is there: where it comes and goes, one waits for it."""
    system_prompt: str = ""
    """What conversations begin with that bring no instructions of their own."""

    @property
    def at_hand(self) -> bool:
        """A request now would not wait for the model."""
        return self.engine.stats().state == "loaded"


@dataclass(frozen=True, slots=True)
class Prompted:
    """A prompt, whose it is, and what its answer is held to."""

    model: str
    """The name the client asked for."""
    ids: Sequence[int]
    project: str
    began: float
    """When work on its request began, by `time.monotonic`."""
    structure: Structure = UNHELD
    tools: Sequence[Tool] = ()
    """The text may end in calls of these."""
    syntax: CallSyntax = HERMES
    """How calls are written."""
    block: ReasoningBlock | None = None
    """What is thought before the text, if anything may be."""
    controls: Mapping[str, int] = field(default_factory=dict)
    """Control tokens that are read as the texts that templates write for them."""
    call_reason: FinishReason = "tool_calls"
    """Why a choice ends that called."""
    operation: Operation = "chat"
    """What traces call it."""
    echo: ChoiceText | None = None
    """What makes the prompt's tokens part of the answer, with their logprobs, where that is asked for."""


class Generations:
    """Starts generations on one model."""

    def __init__(self, parts: ModelParts, metrics: ModelMetrics | None = None) -> None:
        """Start them with these, and count what becomes of them."""
        self._parts = parts
        self._metrics = metrics or Metrics().of_model(parts.engine.info.id)
        self.scorer = TokenScorer(parts.tokenizer)

    def room(self, prompt_tokens: int, max_tokens: int | None = None) -> int:
        """How many tokens the context leaves for an answer, which is to have `max_tokens` at the most.

        Raises:
            ContextLengthExceeded: none, though it is to have some.
        """
        limit = self._parts.engine.info.context_length
        if prompt_tokens > limit or (prompt_tokens == limit and max_tokens != 0):
            raise ContextLengthExceeded(limit, prompt_tokens)
        return limit - prompt_tokens

    def begin(self, asked: AnswerOptions, prompted: Prompted, lease: Lease) -> Completion:
        """Queue the prompt; the completion must be closed, and then releases the lease.

        Raises:
            ContextLengthExceeded: the prompt leaves no room for an answer.
            UnsupportedParameter: the engine of this server lacks something that the request needs.
            Overloaded: the engine's queue is full.
            EngineUnavailable: the engine is starting or down.
        """
        plain = self._tokens(asked, prompted)
        self._check_features(plain)
        span = self._span(asked, prompted)
        tokens = replace(plain, traceparent=span.traceparent)
        try:
            generation = self._parts.engine.generate(tokens)
        except AntiphonError as error:
            span.end(Failed(error), tokens.id, ())
            raise
        custom = frozenset(tool.name for tool in prompted.tools if isinstance(tool, CustomTool))
        raw, texts = raw_grammars(prompted.tools).keys(), written_texts(prompted.tools)
        forms = CallForms(prompted.syntax, custom, raw, texts)
        return Completion(
            id=tokens.id,
            created=int(time.time()),
            model=prompted.model,
            fingerprint=self._parts.engine.info.fingerprint,
            choices=asked.choices,
            prompt_tokens=len(tokens.prompt),
            texts=self._texts(asked, prompted),
            calls=tuple(ChoiceCalls(forms) for _ in range(asked.choices)),
            generation=MeasuredGeneration(generation, tokens, self._metrics, prompted.began),
            lease=lease,
            seed=tokens.sampling.seed,
            tier=asked.tier,
            call_reason=prompted.call_reason,
            echo=prompted.echo,
            verification=self._verification(asked, prompted.structure),
            span=span,
        )

    def _span(self, asked: AnswerOptions, prompted: Prompted) -> CompletionSpan:
        served, waited = self._parts.engine.info.id, time.monotonic() - prompted.began
        return self._parts.traces.completion(Asked(prompted.operation, prompted.model, served, asked, waited))

    def _check_features(self, tokens: GenerationRequest) -> None:
        """Refuse what would be done otherwise than asked."""
        lacks = self._parts.engine.info.lacks
        if "priority" in lacks and tokens.priority:
            raise UnsupportedParameter("service_tier", "The engine of this server has one queue for all.")
        if "logprobs" in lacks and tokens.sampling.top_logprobs is not None:
            raise UnsupportedParameter("logprobs", "The engine of this server tells none.")
        if tokens.constraint is None:
            return
        if "scored_constraints" in lacks and tokens.sampling.top_logprobs is not None:
            raise UnsupportedParameter("logprobs", f"The engine of this server scores {_FREE_TEXT_ONLY}")
        if "constraints_with_minimum" in lacks and tokens.min_tokens:
            raise UnsupportedParameter("min_tokens", f"The engine of this server lengthens {_FREE_TEXT_ONLY}")
        if "budget_hint" in lacks and tokens.budget_hint:
            raise UnsupportedParameter("budget_hint", "The engine of this server has no such hint.")

    def _verification(self, asked: AnswerOptions, structure: Structure) -> Verification | None:
        """What looks at the answer; it cannot check one that the caller's own stop tokens may cut."""
        schemas = structure.schemas
        if schemas and asked.stop_token_ids:
            schemas = AnswerSchemas(unread=schemas.parts)
        return Verification(schemas, self._metrics) if schemas else None

    def _texts(self, asked: AnswerOptions, prompted: Prompted) -> tuple[ChoiceText, ...]:
        spelled = SpelledTokenizer(self._parts.tokenizer, prompted.controls)
        stops, block = StopStrings(asked.stop), prompted.block
        names = [tool.name for tool in prompted.tools]
        opening = StopStrings(prompted.syntax.openings(names)) if names else None
        return tuple(
            ChoiceText(
                spelled,
                self.scorer,
                stops,
                asked.min_tokens,
                opening,
                reasoning=ReasoningSplitter(block) if block else None,
            )
            for _ in range(asked.choices)
        )

    def _tokens(self, asked: AnswerOptions, prompted: Prompted) -> GenerationRequest:
        room = self.room(len(prompted.ids), asked.max_tokens)
        return GenerationRequest(
            id=secrets.token_hex(16),
            prompt=tuple(prompted.ids),
            max_tokens=room if asked.max_tokens is None else min(asked.max_tokens, room),
            choices=asked.choices,
            sampling=_sampling_params(asked.sampling, asked.top_logprobs),
            constraint=prompted.structure.constraint,
            stop_token_ids=asked.stop_token_ids,
            budget_hint=asked.budget_hint,
            ignore_eos=asked.ignore_eos,
            min_tokens=asked.min_tokens,
            cache_salt=json.dumps((prompted.project, asked.cache_key)),
            priority=_PRIORITIES[asked.tier],
            prompt_logprobs=asked.top_logprobs if prompted.echo else None,
        )


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
