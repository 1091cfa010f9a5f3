"""The table of errors, as a table. The answers one by one are in the conformance tests."""

import inspect

import msgspec
import pytest

from antiphon.api import http_errors
from antiphon.api.errors import MAX_RETRY_AFTER_S, ROWS, answer
from antiphon.api.http_errors import HttpError
from antiphon.api.wire.words import excerpt
from antiphon.core.errors import (
    AntiphonError,
    ClientError,
    EngineUnavailable,
    InvalidRequest,
    InvalidValue,
    ModelNotFound,
    NumberOutOfRange,
    Overloaded,
    SchemaRefused,
    ServerError,
    UnknownParameter,
)

ABSTRACT = {AntiphonError, ClientError, ServerError, InvalidRequest, HttpError}


def descendants(kind: type[AntiphonError]) -> set[type[AntiphonError]]:
    """All classes below this one that are defined in the product."""
    below = {child for child in kind.__subclasses__() if child.__module__.startswith("antiphon.")}
    return below.union(*(descendants(child) for child in below))


def test_every_error_has_a_row() -> None:
    """A class without a row would become a bug in the face of a client."""
    kinds = [row.kind for row in ROWS]
    assert set(kinds) == descendants(AntiphonError) - ABSTRACT
    assert len(kinds) == len(set(kinds))


def test_only_client_errors_blame_the_client() -> None:
    """And only server errors the server."""
    for row in ROWS:
        assert (row.status < 500) == issubclass(row.kind, ClientError), row.kind


def test_errors_of_http_are_of_http_or_of_the_end() -> None:
    """Every other one is of the core."""
    own = {
        kind
        for _, kind in inspect.getmembers(http_errors, inspect.isclass)
        if issubclass(kind, AntiphonError) and kind.__module__ == http_errors.__name__
    }
    assert {kind for kind in own if not issubclass(kind, HttpError)} == {http_errors.ShuttingDown}


@pytest.mark.parametrize(
    ("seconds", "header", "milliseconds"),
    [(0.0, "1", "1"), (0.25, "1", "250"), (1.0, "1", "1000"), (1.0001, "2", "1001"), (1e9, "60", "60000")],
)
def test_retry_after_is_whole_and_within_what_sdks_obey(
    seconds: float, header: str, milliseconds: str
) -> None:
    """Never 0, which some take for nothing and some for at once; never beyond their patience."""
    told = answer(Overloaded(seconds)).headers
    assert (told["retry-after"], told["retry-after-ms"]) == (header, milliseconds)
    assert int(header) <= MAX_RETRY_AFTER_S


def test_server_errors_may_be_retried() -> None:
    """All of them say so."""
    for error in (Overloaded(), EngineUnavailable(), http_errors.ShuttingDown()):
        assert answer(error).headers["x-should-retry"] == "true"


@pytest.mark.parametrize(
    "error",
    [
        ModelNotFound("x" * 100_000),
        ModelNotFound("\r\n\0\x1b" * 1000),
        UnknownParameter("😀" * 100_000),
        InvalidValue("p" * 100_000, "😀" * 100_000),
        InvalidValue("p", '"\\' * 100_000),
        SchemaRefused("😀" * 1000, "😀" * 10_000, ("😀" * 1000,) * 1000),
        NumberOutOfRange("n", 10**4000, integer=True, maximum=1),
        http_errors.UrlNotFound("GET", "/" + "x" * 100_000),
        http_errors.MethodNotAllowed("GET", "/" + "x" * 100_000, ("POST",)),
    ],
)
def test_answer_does_not_grow_with_its_cause(error: AntiphonError) -> None:
    """No error body exceeds 4 kB, and nothing in it breaks a line."""
    told = answer(error)
    assert len(msgspec.json.encode(told.body())) <= 4096
    assert told.message.isprintable()


def test_path_of_a_param_is_excerpted() -> None:
    """Keys that a client chose are part of paths."""
    param = "metadata." + "k" * 1000
    assert answer(InvalidValue(param, "No.")).param == excerpt(param, 128)
