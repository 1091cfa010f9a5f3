"""What each error looks like to a client: one table from class to status, type, code and words.

The wording is OpenAI's, because frameworks search it. Errors that only HTTP knows come from
`http_errors`, all others from `core`. Texts from a client appear as short excerpts; nothing else that a
client did not send appears at all: no exception texts, paths or secrets.

Invariant: every concrete `AntiphonError` has a row, and no answer's body exceeds 4 kB.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from antiphon.api.encode import completion_id
from antiphon.api.http_errors import (
    BadFraming,
    BodyTimeout,
    BodyTooLarge,
    HeadersTooLarge,
    HostRefused,
    IdNotFound,
    KeyRefused,
    KeyRequired,
    MalformedJson,
    MethodNotAllowed,
    OriginRefused,
    ShuttingDown,
    TargetTooLong,
    UnsupportedMediaType,
    UrlNotFound,
)
from antiphon.api.wire.words import excerpt
from antiphon.core.errors import (
    AnswerBroken,
    AntiphonError,
    ArrayTooLong,
    ContextLengthExceeded,
    EmptyArray,
    EngineFailed,
    EngineUnavailable,
    FunctionSchemaRefused,
    InternalError,
    InvalidRequest,
    InvalidType,
    InvalidValue,
    JsonWordMissing,
    MissingParameter,
    ModelNotFound,
    ModelNotLoaded,
    NumberOutOfRange,
    Overloaded,
    SchemaRefused,
    ServerError,
    StoredNotFound,
    StoreUnavailable,
    StringTooLong,
    ToolGrammarRefused,
    UnknownParameter,
    UnsupportedParameter,
)

E = TypeVar("E", bound=AntiphonError)

INVALID = "invalid_request_error"
UNAVAILABLE = "service_unavailable_error"
SERVER = "server_error"

MAX_MESSAGE = 800
"""Characters; at four bytes each they leave room for the rest of 4 kB."""
MAX_PARAM = 128
MAX_RETRY_AFTER_S = 60
"""SDKs give up, or guess, when they are told to wait longer."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error on the wire."""

    status: int
    type: str
    code: str | None
    param: str | None
    message: str
    headers: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """OpenAI's envelope, all four keys always there."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}


@dataclass(frozen=True, slots=True)
class Row(Generic[E]):
    """How errors of one class are answered."""

    kind: type[E]
    status: int
    type: str
    code: Callable[[E], str | None]
    message: Callable[[E], str]
    param: str | Callable[[E], str] | None = None
    """For classes that do not name a field themselves."""


def _code(code: str | None) -> Callable[[AntiphonError], str | None]:
    return lambda error: code


def _invalid(kind: type[E], code: str | None, message: Callable[[E], str]) -> Row[E]:
    return Row(kind, 400, INVALID, _code(code), message)


def _http(kind: type[E], status: int, code: str | None, message: Callable[[E], str]) -> Row[E]:
    return Row(kind, status, INVALID, _code(code), message)


def _range_code(error: NumberOutOfRange) -> str:
    kind = "integer" if error.integer else "decimal"
    return f"{kind}_below_min_value" if error.maximum is None else f"{kind}_above_max_value"


def _range_message(error: NumberOutOfRange) -> str:
    kind = "integer" if error.integer else "decimal"
    got = excerpt(str(error.got))
    if error.maximum is None:
        return (
            f"Invalid '{error.param}': {kind} below minimum value. "
            f"Expected a value >= {error.minimum}, but got {got} instead."
        )
    return (
        f"Invalid '{error.param}': {kind} above maximum value. "
        f"Expected a value <= {error.maximum}, but got {got} instead."
    )


def _schema_message(error: SchemaRefused | FunctionSchemaRefused) -> str:
    subject = "response_format" if isinstance(error, SchemaRefused) else "function"
    # OpenAI prints the place as a Python tuple: (), ('a',) or ('a', 'b'); where it is the whole, nothing.
    place = ""
    if error.context is not None:
        place = f"In context={excerpt(str(tuple(map(excerpt, error.context))), 300)}, "
    return f"Invalid schema for {subject} '{excerpt(error.name)}': {place}{excerpt(error.reason, 300)}"


def _not_found(what: str, id: str) -> str:
    return f"{what} with id '{excerpt(id)}' not found."


_SERVER_MESSAGE = (
    "The server had an error while processing your request. Sorry about that! "
    "The x-request-id header of this answer leads to the details in the server's log."
)

ROWS: tuple[Row[Any], ...] = (
    _invalid(
        MissingParameter, "missing_required_parameter", lambda e: f"Missing required parameter: '{e.param}'."
    ),
    _invalid(
        InvalidType,
        "invalid_type",
        lambda e: f"Invalid type for '{e.param}': expected {e.expected}, but got {e.got} instead.",
    ),
    Row(InvalidValue, 400, INVALID, lambda e: e.code, lambda e: e.reason),
    Row(NumberOutOfRange, 400, INVALID, _range_code, _range_message),
    _invalid(
        StringTooLong,
        "string_above_max_length",
        lambda e: (
            f"Invalid '{e.param}': string too long. Expected a string with maximum length {e.maximum}, "
            f"but got a string with length {e.got} instead."
        ),
    ),
    _invalid(
        ArrayTooLong,
        "array_above_max_length",
        lambda e: (
            f"Invalid '{e.param}': array too long. Expected an array with maximum length {e.maximum}, "
            f"but got an array with length {e.got} instead."
        ),
    ),
    _invalid(
        EmptyArray,
        "empty_array",
        lambda e: (
            f"Invalid '{e.param}': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead."
        ),
    ),
    _invalid(
        UnsupportedParameter,
        "unsupported_parameter",
        lambda e: f"Unsupported parameter: '{e.param}' is not supported with this model. {e.reason}",
    ),
    _invalid(UnknownParameter, "unknown_parameter", lambda e: f"Unknown parameter: '{excerpt(e.param)}'."),
    _http(
        ModelNotFound,
        404,
        "model_not_found",
        lambda e: f"The model `{excerpt(e.model)}` does not exist or you do not have access to it.",
    ),
    _http(StoredNotFound, 404, None, lambda e: _not_found("Chat completion", completion_id(e.id))),
    _http(IdNotFound, 404, None, lambda e: _not_found(e.what, e.id)),
    Row(
        ContextLengthExceeded,
        400,
        INVALID,
        _code("context_length_exceeded"),
        # LangChain, LiteLLM and pydantic-ai each search this message for a part of it.
        lambda e: (
            f"This model's maximum context length is {e.limit_tokens} tokens. However, your messages "
            f"resulted in {e.prompt_tokens} tokens. Please reduce the length of the messages. "
            "(context_length_exceeded)"
        ),
        param="messages",
    ),
    Row(SchemaRefused, 400, INVALID, _code(None), _schema_message, param="response_format"),
    Row(
        FunctionSchemaRefused,
        400,
        INVALID,
        _code("invalid_function_parameters"),
        _schema_message,
        param=lambda e: f"tools[{e.tool}].function.parameters",
    ),
    Row(
        ToolGrammarRefused,
        400,
        INVALID,
        _code("invalid_value"),
        lambda e: f"Invalid grammar for custom tool '{excerpt(e.name)}': {excerpt(e.reason, 300)}",
        param=lambda e: f"tools[{e.tool}].custom.format.grammar.definition",
    ),
    Row(
        JsonWordMissing,
        400,
        INVALID,
        _code(None),
        lambda e: (
            "'messages' must contain the word 'json' in some form, to use 'response_format' "
            "of type 'json_object'."
        ),
        param="messages",
    ),
    Row(
        Overloaded,
        503,
        UNAVAILABLE,
        _code("server_is_overloaded"),
        lambda e: "The server is currently overloaded with other requests. Please try again later.",
    ),
    Row(
        EngineUnavailable,
        503,
        UNAVAILABLE,
        _code(None),
        lambda e: "The model is not available at the moment: its engine is starting. Please try again later.",
    ),
    Row(
        ModelNotLoaded,
        503,
        UNAVAILABLE,
        _code(None),
        lambda e: (
            f"The model '{excerpt(e.model)}' could not be loaded: the server's log says why. "
            "Please try again later."
        ),
    ),
    Row(
        ShuttingDown,
        503,
        UNAVAILABLE,
        _code(None),
        lambda e: "The server is shutting down. Please try again later.",
    ),
    Row(
        StoreUnavailable,
        503,
        UNAVAILABLE,
        _code(None),
        lambda e: "Stored completions are not available at the moment. Please try again later.",
    ),
    Row(EngineFailed, 503, SERVER, _code(None), lambda e: _SERVER_MESSAGE),
    Row(AnswerBroken, 500, SERVER, _code(None), lambda e: _SERVER_MESSAGE),
    Row(InternalError, 500, SERVER, _code(None), lambda e: _SERVER_MESSAGE),
    _http(BadFraming, 400, None, lambda e: "The request is not valid HTTP/1.1."),
    _http(
        MalformedJson,
        400,
        None,
        lambda e: f"We could not parse the JSON body of your request. (HINT: {e.hint})",
    ),
    _http(
        KeyRequired,
        401,
        None,
        lambda e: (
            "You didn't provide an API key. You need to provide your API key in an Authorization header "
            "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        ),
    ),
    _http(KeyRefused, 401, "invalid_api_key", lambda e: f"Incorrect API key provided: {e.masked}."),
    _http(OriginRefused, 403, None, lambda e: "Requests from web pages of other origins are not accepted."),
    _http(
        UrlNotFound,
        404,
        "unknown_url",
        lambda e: f"Invalid URL ({e.method} {excerpt(e.path, MAX_PARAM)})",
    ),
    _http(
        MethodNotAllowed,
        405,
        "method_not_supported",
        lambda e: (
            f"Not allowed to {e.method} on {excerpt(e.path, MAX_PARAM)} "
            f"(HINT: the methods allowed there are: {', '.join(e.allowed)})"
        ),
    ),
    _http(BodyTimeout, 408, None, lambda e: "The request did not arrive in time."),
    _http(
        BodyTooLarge,
        413,
        "request_too_large",
        lambda e: f"The request body is too large. This server accepts up to {e.limit} bytes.",
    ),
    _http(TargetTooLong, 414, None, lambda e: "The URL is too long."),
    _http(UnsupportedMediaType, 415, "unsupported_media_type", lambda e: e.reason),
    _http(
        HostRefused,
        # Not 421: Node's fetch sends the request again by itself then, and may fail without a status.
        403,
        None,
        lambda e: "This server does not answer under the host name of this request.",
    ),
    _http(HeadersTooLarge, 431, None, lambda e: "The request's headers are too large."),
)

_BY_KIND = MappingProxyType({row.kind: row for row in ROWS})


def answer(error: AntiphonError, spell_param: Callable[[str], str] = str) -> ErrorAnswer:
    """How this error is told to the client of an API that spells parameters so."""
    row = _BY_KIND[type(error)]
    named = row.param(error) if callable(row.param) else row.param
    param = error.param if isinstance(error, InvalidRequest) else named
    return ErrorAnswer(
        status=row.status,
        type=row.type,
        code=row.code(error),
        param=None if param is None else excerpt(spell_param(param), MAX_PARAM),
        message=excerpt(row.message(error), MAX_MESSAGE),
        headers=_headers(error),
    )


def _headers(error: AntiphonError) -> dict[str, str]:
    match error:
        case (
            Overloaded(retry_after_s)
            | EngineUnavailable(retry_after_s)
            | StoreUnavailable(retry_after_s)
            | ShuttingDown(retry_after_s)
        ):
            wait_s = min(max(retry_after_s, 0.001), MAX_RETRY_AFTER_S)
            return {
                "retry-after": str(math.ceil(wait_s)),
                "retry-after-ms": str(math.ceil(wait_s * 1000)),
                "x-should-retry": "true",
            }
        case ServerError():
            return {"x-should-retry": "true"}
        case MethodNotAllowed(allowed=allowed):
            return {"allow": ", ".join(allowed)}
        case KeyRequired() | KeyRefused():
            return {"www-authenticate": "Bearer"}
        case BodyTimeout() | BadFraming():
            return {"connection": "close"}
        case _:
            return {}
