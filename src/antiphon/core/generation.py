"""The token vocabulary: what crosses the engine port.

Engines see ids, parameters and a constraint's text; never messages, tools or templates.
The values are plain frozen dataclasses so that any transport (a socket pair, a Ray handle) can
carry them.

Invariant: a generation yields, per choice, any number of `TokenDelta`s and then exactly one
`ChoiceEnd`, or it fails as a whole with one error; nothing follows either. `PromptScores`, where they
are asked for, come before all of these.
"""

from dataclasses import dataclass
from typing import Literal

EndReason = Literal["stop", "length"]
EngineFeature = Literal[
    "constraints", "scored_constraints", "constraints_with_minimum", "budget_hint", "priority", "logprobs"
]
"""What some engine cannot do: constraints at all, with logprobs, with `min_tokens`, with `budget_hint`; any
`priority` but 0; logprobs at all, of answers or prompts."""

PhaseName = Literal["compile", "queue", "prefill", "decode"]
PhaseEnd = Literal["went_on", "finished", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How each next token is drawn. Ranges are checked before this is made."""

    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int = 0
    """Choice i of a request draws from its own stream, a function of (seed, i, position)."""
    top_logprobs: int | None = None
    """None: none are computed; k: the drawn token's own and the k best, of the raw distribution."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the generated text must match: a specification, compiled below the port."""

    kind: Literal["json_schema", "regex", "lark"]
    text: str
    """A JSON Schema as JSON text, a regular expression, or a Lark grammar."""
    json_behind: tuple[str, ...] = ()
    """Texts behind which JSON stands in which names or values are free, or nested without end: no object may
    have a name twice and no number be infinite, which no grammar can say. The empty text is the beginning."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One prompt and how to continue it, `choices` times."""

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    """Per choice, the end-of-sequence token not counted; 0: the prompt is computed, and nothing drawn."""
    choices: int = 1
    sampling: SamplingParams = SamplingParams()
    constraint: Constraint | None = None
    stop_token_ids: tuple[int, ...] = ()
    """End a choice without being delivered, like end-of-sequence."""
    ignore_eos: bool = False
    min_tokens: int = 0
    """Ending tokens are masked until this many were generated."""
    budget_hint: bool = False
    """Under a constraint: near the end of `max_tokens` only such tokens as leave it room to be satisfied."""
    cache_salt: str = ""
    """Prompts share cached prefixes only under equal salts."""
    priority: Literal[-1, 0, 1] = 0
    """Where it queues: behind (-1) or ahead of (1) others that came a bounded number of requests apart."""
    traceparent: str = ""
    """Under which span of a trace its phases are reported, in W3C's form; empty: they are not."""
    prompt_logprobs: int | None = None
    """As `SamplingParams.top_logprobs`, for the tokens of the prompt. Then all of it is computed anew."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Natural-log probabilities of one position, before temperature, penalties and masks."""

    token_id: int
    logprob: float | None
    """None: the first token of a prompt, which nothing precedes."""
    top: tuple[tuple[int, float], ...] = ()
    """(token id, logprob), best first."""


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """New tokens of one choice. `logprobs` is empty or has one entry per token."""

    choice: int
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()
    cached_tokens: int = 0
    """As in `ChoiceEnd`; told at least once per request, for choices that are stopped have no end."""


@dataclass(frozen=True, slots=True)
class ChoiceEnd:
    """A choice has ended: by an ending token or complete grammar (`stop`), or its budget (`length`)."""

    choice: int
    reason: EndReason
    cached_tokens: int = 0
    """Prompt tokens of the request that came from the prefix cache."""


@dataclass(frozen=True, slots=True)
class PromptScores:
    """The next tokens of the prompt with their logprobs; all that a request gets make up its prompt."""

    logprobs: tuple[TokenLogprob, ...]
    choice: None = None
    """The choices have it in common."""


EngineEvent = PromptScores | TokenDelta | ChoiceEnd


@dataclass(frozen=True, slots=True)
class EnginePhase:
    """A part of a traced request's life in the engine, over by now."""

    traceparent: str
    """As the request gave it."""
    name: PhaseName
    """A constraint is compiled; it waits for its first step; its prompt is computed; it speaks."""
    began_ns: int
    """Nanoseconds since 1970, by the engine process's clock."""
    ended_ns: int
    pid: int
    """The engine process."""
    end: PhaseEnd = "went_on"
    """To the next phase, or why there is none; cancelled where its owner wanted no more of it."""
    tokens: int = 0
    """Of a prefill: the prompt's; of a decode: those generated for all choices."""
    cached_tokens: int = 0
    """Of a prefill: what the prefix cache held of the prompt."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the rest of the server needs to know of a loaded model."""

    id: str
    context_length: int
    """Prompt and generated tokens together."""
    vocab_size: int
    eos_token_ids: tuple[int, ...]
    fingerprint: str
    """Changes whenever the same request and seed may give another answer."""
    lacks: tuple[EngineFeature, ...] = ()
    """Requests that need one of these must not be given to the engine."""


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A snapshot of the engine's state. Totals count from the start of its process."""

    ready: bool = False
    running: int = 0
    """Choices that hold pages."""
    waiting: int = 0
    """Choices that wait for pages, preempted ones included."""
    waiting_tokens: int = 0
    """What the waiting ones have to compute before they go on, without what the prefix cache may hold."""
    pages_total: int = 0
    pages_used: int = 0
    """Held by running choices."""
    pages_cached: int = 0
    """Held by nobody, kept for prompts that begin alike."""
    prompt_tokens: int = 0
    """Total of prompts begun, cached tokens included."""
    cached_tokens: int = 0
    """Total of prompt tokens that came from the prefix cache."""
    generated_tokens: int = 0
    forced_tokens: int = 0
    """Of these, the ones that a constraint left no choice about and that were not drawn one by one."""
    drafted_tokens: int = 0
    """Total of tokens that were guessed and computed before it was known whether they come."""
    accepted_tokens: int = 0
    """Of these, the ones that came."""
    preemptions: int = 0
    begun: int = 0
    """Total of requests that had their first step."""
    queued_s: float = 0.0
    """Total time that these waited for it."""
    steps: int = 0
    tokens_per_s: float = 0.0
    """Generated, over the last ten seconds."""
    forward_s: float = 0.0
    """Total time in the model."""
    sampling_s: float = 0.0
    """Total time spent drawing and scoring tokens, masks not counted."""
    masks_s: float = 0.0
    """Total time spent on what constraints allow."""
    step_age_s: float = 0.0
    """Seconds since the last sign of progress."""
    restarts: int = 0
    """How often the process was replaced."""
    state: Literal["loaded", "leaving", "unloaded", "loading", "failed"] = "loaded"
    """Whether the model is in memory, or still is for those who use it; else it is loaded when it is asked
    for, unless that failed just now."""
    awaiting: int = 0
    """Requests that wait for the model to be loaded."""
    loads: int = 0
    """How often it was loaded on demand."""
    load_s: float = 0.0
    """Total time that took."""

    @property
    def hit_rate(self) -> float:
        """The share of prompt tokens that came from the prefix cache; 0 before there were any."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0
