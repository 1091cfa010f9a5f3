"""Every error a client can be told about: a closed tree of classes that carry facts.

    AntiphonError
    ├── ClientError                    the request is at fault
    │   ├── InvalidRequest             a field is wrong; `param` is its path
    │   │   ├── MissingParameter       ├── InvalidType           ├── InvalidValue
    │   │   ├── NumberOutOfRange       ├── StringTooLong         ├── ArrayTooLong
    │   │   ├── EmptyArray             ├── UnsupportedParameter  └── UnknownParameter
    │   ├── ModelNotFound
    │   ├── StoredNotFound
    │   ├── ContextLengthExceeded
    │   ├── SchemaRefused
    │   ├── FunctionSchemaRefused
    │   ├── ToolGrammarRefused
    │   └── JsonWordMissing
    └── ServerError                    the request may be fine
        ├── Overloaded                 no room now
        ├── EngineUnavailable          the engine is starting or down; nothing was generated
        ├── EngineFailed               the engine died or failed while it generated
        ├── AnswerBroken               an answer turned out to break its schema
        ├── StoreUnavailable           what should be stored, or was, cannot be had now
        └── InternalError              anything unforeseen

`api/errors` gives each its status, type, code and message. Errors of HTTP itself live there too.
Facts never hold secrets, paths or texts of other exceptions.
"""

from dataclasses import dataclass, field


class AntiphonError(Exception):
    """Root of everything a client can be told."""


class ClientError(AntiphonError):
    """The request is at fault: repeating it unchanged gives the same answer."""


class ServerError(AntiphonError):
    """The server is at fault or busy: the same request may succeed later."""


class InvalidRequest(ClientError):
    """A field of the request is wrong; subclasses say how. `param` is the field's path."""

    param: str | None


@dataclass(eq=False)
class MissingParameter(InvalidRequest):
    """A required field is absent."""

    param: str


@dataclass(eq=False)
class InvalidType(InvalidRequest):
    """A field holds another JSON type than it may."""

    param: str
    expected: str
    """With its article: "a string", "one of a string or array of objects"."""
    got: str
    """With its article: "an integer", "null"."""


@dataclass(eq=False)
class InvalidValue(InvalidRequest):
    """A value of the right type that is not allowed; `reason` is a full sentence for the client."""

    param: str | None
    reason: str
    code: str | None = "invalid_value"


@dataclass(eq=False)
class NumberOutOfRange(InvalidRequest):
    """A number beyond its bounds; exactly one of `minimum` and `maximum` is set."""

    param: str
    got: int | float
    integer: bool
    minimum: int | float | None = None
    maximum: int | float | None = None


@dataclass(eq=False)
class StringTooLong(InvalidRequest):
    """A text beyond its cap, in characters."""

    param: str
    maximum: int
    got: int


@dataclass(eq=False)
class ArrayTooLong(InvalidRequest):
    """A list beyond its cap."""

    param: str
    maximum: int
    got: int


@dataclass(eq=False)
class EmptyArray(InvalidRequest):
    """A list that needs at least one item."""

    param: str


@dataclass(eq=False)
class UnsupportedParameter(InvalidRequest):
    """A published field, or a value of it, that this server does not carry out."""

    param: str
    reason: str


@dataclass(eq=False)
class UnknownParameter(InvalidRequest):
    """A top-level field nobody knows; an error only in strict mode."""

    param: str


@dataclass(eq=False)
class ModelNotFound(ClientError):
    """No configured model or alias has this name."""

    model: str


@dataclass(eq=False)
class StoredNotFound(ClientError):
    """The caller's project has no stored completion of this id."""

    id: str
    """Without what an API writes before it."""


@dataclass(eq=False)
class ContextLengthExceeded(ClientError):
    """The rendered prompt leaves no room to answer."""

    limit_tokens: int
    prompt_tokens: int


@dataclass(eq=False)
class SchemaRefused(ClientError):
    """A strict schema or grammar that cannot be held; `reason` names the keyword or the limit."""

    name: str
    reason: str
    context: tuple[str, ...] | None = ()
    """Where in the schema: the keys that lead there. None: it is about the schema as a whole."""


@dataclass(eq=False)
class FunctionSchemaRefused(ClientError):
    """The parameters of a strict function that cannot be held."""

    tool: int
    """Its place among the tools, from 0."""
    name: str
    reason: str
    context: tuple[str, ...] | None = ()
    """As in `SchemaRefused`."""


@dataclass(eq=False)
class ToolGrammarRefused(ClientError):
    """The grammar of a custom tool that cannot be held."""

    tool: int
    """Its place among the tools, from 0."""
    name: str
    reason: str


@dataclass(eq=False)
class JsonWordMissing(ClientError):
    """JSON mode without the word "json" in the messages (only where that rule is switched on)."""


@dataclass(eq=False)
class Overloaded(ServerError):
    """No room in the queue; try again in `retry_after_s` seconds."""

    retry_after_s: float = 1.0


@dataclass(eq=False)
class EngineUnavailable(ServerError):
    """The engine is starting or restarting; nothing was generated."""

    retry_after_s: float = 2.0
    reason: str = field(default="", kw_only=True)
    """For whoever starts the server, naming a setting; clients are not told."""


@dataclass(eq=False)
class ModelNotLoaded(EngineUnavailable):
    """The model could not be loaded, and is not tried again before `retry_after_s`; the log says why."""

    model: str = ""


@dataclass(eq=False)
class EngineFailed(ServerError):
    """The engine died or failed while it worked on this request."""


@dataclass(eq=False)
class AnswerBroken(ServerError):
    """An answer that was held to a schema is not valid under it: a fault of this server, told as one."""


@dataclass(eq=False)
class StoreUnavailable(ServerError):
    """The store of completions cannot be read or written now, or has too much to do."""

    retry_after_s: float = 2.0


@dataclass(eq=False)
class InternalError(ServerError):
    """Anything unforeseen; details are in the log under the request's id."""
