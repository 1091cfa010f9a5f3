"""Every error a client can be told: status, type, code, param, words and headers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest

from antiphon.api import http_errors
from antiphon.api.errors import ROWS, answer
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
    InvalidType,
    InvalidValue,
    JsonWordMissing,
    MissingParameter,
    ModelNotFound,
    ModelNotLoaded,
    NumberOutOfRange,
    Overloaded,
    SchemaRefused,
    StoredNotFound,
    StoreUnavailable,
    StringTooLong,
    ToolGrammarRefused,
    UnknownParameter,
    UnsupportedParameter,
)

INVALID = "invalid_request_error"
UNAVAILABLE = "service_unavailable_error"
SORRY = (
    "The server had an error while processing your request. Sorry about that! "
    "The x-request-id header of this answer leads to the details in the server's log."
)
RETRY: dict[str, str] = {"x-should-retry": "true"}


class Told(NamedTuple):
    """What the client gets."""

    status: int
    type: str
    code: str | None
    param: str | None
    message: str
    headers: Mapping[str, str] = MappingProxyType({})


CATALOGUE: list[tuple[AntiphonError, Told]] = [
    (
        MissingParameter("messages"),
        Told(
            400, INVALID, "missing_required_parameter", "messages", "Missing required parameter: 'messages'."
        ),
    ),
    (
        InvalidType("messages[0].content", "one of a string or array of objects", "an object"),
        Told(
            400,
            INVALID,
            "invalid_type",
            "messages[0].content",
            "Invalid type for 'messages[0].content': expected one of a string or array of objects, "
            "but got an object instead.",
        ),
    ),
    (
        InvalidValue("messages[0].role", "Invalid value: 'foo'."),
        Told(400, INVALID, "invalid_value", "messages[0].role", "Invalid value: 'foo'."),
    ),
    (
        NumberOutOfRange("n", 130, integer=True, maximum=128),
        Told(
            400,
            INVALID,
            "integer_above_max_value",
            "n",
            "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 130 instead.",
        ),
    ),
    (
        NumberOutOfRange("max_tokens", 0, integer=True, minimum=1),
        Told(
            400,
            INVALID,
            "integer_below_min_value",
            "max_tokens",
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        ),
    ),
    (
        NumberOutOfRange("temperature", 2.5, integer=False, maximum=2),
        Told(
            400,
            INVALID,
            "decimal_above_max_value",
            "temperature",
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
        ),
    ),
    (
        NumberOutOfRange("top_p", -1, integer=False, minimum=0),
        Told(
            400,
            INVALID,
            "decimal_below_min_value",
            "top_p",
            "Invalid 'top_p': decimal below minimum value. Expected a value >= 0, but got -1 instead.",
        ),
    ),
    (
        StringTooLong("stop", 256, 300),
        Told(
            400,
            INVALID,
            "string_above_max_length",
            "stop",
            "Invalid 'stop': string too long. Expected a string with maximum length 256, "
            "but got a string with length 300 instead.",
        ),
    ),
    (
        ArrayTooLong("stop", 16, 17),
        Told(
            400,
            INVALID,
            "array_above_max_length",
            "stop",
            "Invalid 'stop': array too long. Expected an array with maximum length 16, "
            "but got an array with length 17 instead.",
        ),
    ),
    (
        EmptyArray("messages"),
        Told(
            400,
            INVALID,
            "empty_array",
            "messages",
            "Invalid 'messages': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead.",
        ),
    ),
    (
        UnsupportedParameter("modalities", "This server answers in text only."),
        Told(
            400,
            INVALID,
            "unsupported_parameter",
            "modalities",
            "Unsupported parameter: 'modalities' is not supported with this model. "
            "This server answers in text only.",
        ),
    ),
    (
        UnknownParameter("foo"),
        Told(400, INVALID, "unknown_parameter", "foo", "Unknown parameter: 'foo'."),
    ),
    (
        ModelNotFound("gpt-99"),
        Told(
            404,
            INVALID,
            "model_not_found",
            None,
            "The model `gpt-99` does not exist or you do not have access to it.",
        ),
    ),
    (
        StoredNotFound("0123abcd"),
        Told(404, INVALID, None, None, "Chat completion with id 'chatcmpl-0123abcd' not found."),
    ),
    (
        http_errors.IdNotFound("Message", "chatcmpl-0123abcd-7"),
        Told(404, INVALID, None, None, "Message with id 'chatcmpl-0123abcd-7' not found."),
    ),
    (
        ContextLengthExceeded(limit_tokens=8192, prompt_tokens=9000),
        Told(
            400,
            INVALID,
            "context_length_exceeded",
            "messages",
            "This model's maximum context length is 8192 tokens. However, your messages resulted in "
            "9000 tokens. Please reduce the length of the messages. (context_length_exceeded)",
        ),
    ),
    (
        SchemaRefused("person", "'oneOf' is not permitted.", ("properties", "age")),
        Told(
            400,
            INVALID,
            None,
            "response_format",
            "Invalid schema for response_format 'person': In context=('properties', 'age'), "
            "'oneOf' is not permitted.",
        ),
    ),
    (
        SchemaRefused("person", "too large."),
        Told(
            400,
            INVALID,
            None,
            "response_format",
            "Invalid schema for response_format 'person': In context=(), too large.",
        ),
    ),
    (
        ToolGrammarRefused(2, "run_sql", 'at 1(8): unknown name: "q"'),
        Told(
            400,
            INVALID,
            "invalid_value",
            "tools[2].custom.format.grammar.definition",
            "Invalid grammar for custom tool 'run_sql': at 1(8): unknown name: \"q\"",
        ),
    ),
    (
        FunctionSchemaRefused(1, "get_weather", "'oneOf' is not permitted.", ("properties", "city")),
        Told(
            400,
            INVALID,
            "invalid_function_parameters",
            "tools[1].function.parameters",
            "Invalid schema for function 'get_weather': In context=('properties', 'city'), "
            "'oneOf' is not permitted.",
        ),
    ),
    (
        JsonWordMissing(),
        Told(
            400,
            INVALID,
            None,
            "messages",
            "'messages' must contain the word 'json' in some form, to use 'response_format' "
            "of type 'json_object'.",
        ),
    ),
    (
        Overloaded(2.5),
        Told(
            503,
            UNAVAILABLE,
            "server_is_overloaded",
            None,
            "The server is currently overloaded with other requests. Please try again later.",
            {"retry-after": "3", "retry-after-ms": "2500", **RETRY},
        ),
    ),
    (
        EngineUnavailable(),
        Told(
            503,
            UNAVAILABLE,
            None,
            None,
            "The model is not available at the moment: its engine is starting. Please try again later.",
            {"retry-after": "2", "retry-after-ms": "2000", **RETRY},
        ),
    ),
    (
        ModelNotLoaded(4.0, "writer"),
        Told(
            503,
            UNAVAILABLE,
            None,
            None,
            "The model 'writer' could not be loaded: the server's log says why. Please try again later.",
            {"retry-after": "4", "retry-after-ms": "4000", **RETRY},
        ),
    ),
    (
        StoreUnavailable(),
        Told(
            503,
            UNAVAILABLE,
            None,
            None,
            "Stored completions are not available at the moment. Please try again later.",
            {"retry-after": "2", "retry-after-ms": "2000", **RETRY},
        ),
    ),
    (
        http_errors.ShuttingDown(),
        Told(
            503,
            UNAVAILABLE,
            None,
            None,
            "The server is shutting down. Please try again later.",
            {"retry-after": "5", "retry-after-ms": "5000", **RETRY},
        ),
    ),
    (EngineFailed(), Told(503, "server_error", None, None, SORRY, RETRY)),
    (AnswerBroken(), Told(500, "server_error", None, None, SORRY, RETRY)),
    (InternalError(), Told(500, "server_error", None, None, SORRY, RETRY)),
    (
        http_errors.BadFraming(),
        Told(400, INVALID, None, None, "The request is not valid HTTP/1.1.", {"connection": "close"}),
    ),
    (
        http_errors.MalformedJson("It is not."),
        Told(
            400, INVALID, None, None, "We could not parse the JSON body of your request. (HINT: It is not.)"
        ),
    ),
    (
        http_errors.KeyRequired(),
        Told(
            401,
            INVALID,
            None,
            None,
            "You didn't provide an API key. You need to provide your API key in an Authorization header "
            "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            {"www-authenticate": "Bearer"},
        ),
    ),
    (
        http_errors.KeyRefused("sk-*****cdef"),
        Told(
            401,
            INVALID,
            "invalid_api_key",
            None,
            "Incorrect API key provided: sk-*****cdef.",
            {"www-authenticate": "Bearer"},
        ),
    ),
    (
        http_errors.OriginRefused(),
        Told(403, INVALID, None, None, "Requests from web pages of other origins are not accepted."),
    ),
    (
        http_errors.UrlNotFound("POST", "/v1/foo"),
        Told(404, INVALID, "unknown_url", None, "Invalid URL (POST /v1/foo)"),
    ),
    (
        http_errors.MethodNotAllowed("GET", "/v1/chat/completions", ("POST",)),
        Told(
            405,
            INVALID,
            "method_not_supported",
            None,
            "Not allowed to GET on /v1/chat/completions (HINT: the methods allowed there are: POST)",
            {"allow": "POST"},
        ),
    ),
    (
        http_errors.BodyTimeout(),
        Told(408, INVALID, None, None, "The request did not arrive in time.", {"connection": "close"}),
    ),
    (
        http_errors.BodyTooLarge(4096),
        Told(
            413,
            INVALID,
            "request_too_large",
            None,
            "The request body is too large. This server accepts up to 4096 bytes.",
        ),
    ),
    (http_errors.TargetTooLong(), Told(414, INVALID, None, None, "The URL is too long.")),
    (
        http_errors.UnsupportedMediaType("Unsupported content type."),
        Told(415, INVALID, "unsupported_media_type", None, "Unsupported content type."),
    ),
    (
        http_errors.HostRefused(),
        Told(403, INVALID, None, None, "This server does not answer under the host name of this request."),
    ),
    (http_errors.HeadersTooLarge(), Told(431, INVALID, None, None, "The request's headers are too large.")),
]


@pytest.mark.parametrize(
    ("error", "told"), CATALOGUE, ids=[f"{type(error).__name__}-{told.code}" for error, told in CATALOGUE]
)
def test_error_is_told_exactly_so(error: AntiphonError, told: Told) -> None:
    """Frameworks search these words; SDKs act on these headers."""
    given = answer(error)
    assert (given.status, dict(given.headers)) == (told.status, told.headers)
    assert given.body() == {
        "error": {"message": told.message, "type": told.type, "param": told.param, "code": told.code}
    }


def test_catalogue_has_every_error() -> None:
    """No error class without a case."""
    assert {row.kind for row in ROWS} == {type(error) for error, _ in CATALOGUE}


@pytest.mark.parametrize(
    "needle",
    ["context_length_exceeded", "this model's maximum context length is", "maximum context length"],
)
def test_context_overflow_is_recognised_by_frameworks(needle: str) -> None:
    """LangChain, LiteLLM and pydantic-ai each look for one of these in the lower-cased message."""
    assert needle in answer(ContextLengthExceeded(1, 2)).message.lower()
