"""The conversation vocabulary: what was said and how an answer is wanted.

This is the middle one of the three vocabularies. `api/decode` makes these values from JSON;
`service/completions` turns them into tokens. Nothing here knows JSON field names or token ids.

Invariant: values are immutable and already valid; nobody downstream checks them again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the assistant called, as a conversation remembers it."""

    id: str
    name: str
    arguments: str
    """Of a function meant to be JSON, though what a client replays need not be; else the tool's input."""
    custom: bool = False
    """A custom tool was called."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation; content parts are already joined into one text."""

    role: Role
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant: what it called, answered by the messages that follow."""
    tool_call_id: str | None = None
    """Of a tool: the call that this answers."""
    reasoning: str = ""
    """Of an assistant: what it thought before it said this."""


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function that the assistant may call.

    `parameters` is a JSON Schema of an object; an empty one stands for no arguments. `strict` asks
    for a refusal when it cannot be held; without it the arguments are then any JSON object.
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    strict: bool = False


@dataclass(frozen=True, slots=True)
class ToolGrammar:
    """What the input of a custom tool must match as a whole."""

    syntax: Literal["regex", "lark"]
    definition: str


@dataclass(frozen=True, slots=True)
class CustomTool:
    """A tool that takes one text as it is, of any form or in the language of a grammar."""

    name: str
    description: str | None = None
    grammar: ToolGrammar | None = None


Tool = FunctionTool | CustomTool
"""Names tell the tools of one request apart, whatever their kind."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether and what the assistant calls."""

    mode: Literal["none", "auto", "required", "named"] = "auto"
    """`named` is exactly one call of the one tool in `names`."""
    names: tuple[str, ...] | None = None
    """The tools that may be called; None: all."""
    custom: frozenset[str] = frozenset()
    """Of these, the ones that the caller takes for custom tools."""


@dataclass(frozen=True, slots=True)
class JsonObjectFormat:
    """The answer must be one JSON object of any shape."""


@dataclass(frozen=True, slots=True)
class JsonSchemaFormat:
    """The answer must be valid under `schema`, whose property order is kept.

    `strict` asks for a refusal when the schema cannot be held; without it a schema that
    cannot be held falls back to any JSON object.
    """

    name: str
    schema: Mapping[str, object]
    strict: bool = False


@dataclass(frozen=True, slots=True)
class PatternFormat:
    """The answer must match a regular expression or a Lark grammar as a whole."""

    kind: Literal["regex", "lark"]
    text: str
    label: str
    """What the caller knows the pattern by, for errors."""


@dataclass(frozen=True, slots=True)
class ChoiceFormat:
    """The answer must be one of these texts."""

    texts: tuple[str, ...]
    label: str
    """As in `PatternFormat`."""


ResponseFormat = JsonObjectFormat | JsonSchemaFormat | PatternFormat | ChoiceFormat

ServiceTier = Literal["flex", "default", "priority"]
"""How urgent an answer is beside others."""


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """How tokens are drawn, as the caller asked for it."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """Keep only the k likeliest tokens; 0 switches it off."""
    min_p: float = 0.0
    """Drop tokens less likely than this share of the likeliest one's probability."""
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of these token ids."""
    seed: int | None = None
    """None: every call draws anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """How an answer is wanted, whatever it is an answer to."""

    sampling: SamplingOptions = SamplingOptions()
    choices: int = 1
    """For each prompt."""
    max_tokens: int | None = None
    """None: as many as the context leaves."""
    stop: tuple[str, ...] = ()
    response_format: ResponseFormat | None = None
    top_logprobs: int | None = None
    """None: no logprobs; k: each token's own logprob and the k best alternatives."""
    min_tokens: int = 0
    ignore_eos: bool = False
    stop_token_ids: tuple[int, ...] = ()
    budget_hint: bool = False
    """An answer that is held to something ends in time, where its budget nears and that is possible."""
    tier: ServiceTier = "default"
    cache_key: str = ""
    """Only prompts with the same key may share what is computed of a common beginning."""


@dataclass(frozen=True, slots=True)
class ChatRequest(AnswerOptions):
    """A chat completion as the caller wants it, whichever API it came through."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    """Says nothing where there are no tools."""
    parallel_tool_calls: bool = True
    """False: at most one call per answer."""
    template_options: Mapping[str, bool | str] = field(default_factory=dict)
    """Switches of the model's chat template."""


Prompt = str | tuple[int, ...]
"""Plain text, in which nothing is special however it looks, or token ids of the model's vocabulary."""


@dataclass(frozen=True, slots=True)
class TextRequest(AnswerOptions):
    """Prompts to be continued as they are, without a chat template."""

    model: str
    prompts: tuple[Prompt, ...]
    """The choices of the second follow those of the first."""
    echo: bool = False
    """Each choice begins with its prompt."""
