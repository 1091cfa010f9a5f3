"""Which path leads where."""

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from antiphon.api.keys import KeyRing
from antiphon.api.routing import Dispatcher, Endpoint
from tests.unit.api.live import running


async def _nothing(request: Request) -> Response:
    return Response()


def test_route_must_say_who_may_use_it() -> None:
    """A plain route, which declares nothing, keeps the server from starting."""
    declared = Endpoint("GET", "/a", _nothing, public=True)
    with pytest.raises(TypeError):
        Dispatcher([declared, Route("/b", _nothing)], KeyRing(()))  # type: ignore[list-item]


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/chat",
        "/v1/chat/completions/",
        "/v1/models/",
        "//v1/models",
        "/V1/models",
        "/v1/models%0A",
        "/v1/..%2fv1/models",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/v2/models",
    ],
)
async def test_unknown_path_is_an_invalid_url(path: str) -> None:
    """Paths are matched exactly; the answer repeats what was asked for."""
    async with running() as live:
        response = await live.client.get(f"http://127.0.0.1:{live.port}{path}")
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["message"].startswith("Invalid URL (GET /")
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, "unknown_url")


async def test_wrong_method_names_the_right_ones() -> None:
    """A 405 says what is allowed, in words and in the header."""
    async with running() as live:
        got = await live.client.get("/v1/chat/completions")
        posted = await live.client.post("/v1/models")
        preflight = await live.client.options("/v1/chat/completions", headers={"origin": "https://evil.test"})
    assert got.status_code == posted.status_code == preflight.status_code == 405
    assert got.json()["error"]["code"] == "method_not_supported"
    assert got.headers["allow"] == "POST"
    assert posted.headers["allow"] == "GET, HEAD"
    assert not [name for name in preflight.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/v1/models", "/health/live", "/v1/models/m"])
async def test_head_is_get_without_a_body(path: str) -> None:
    """HEAD tells the length and sends nothing."""
    async with running() as live:
        got = await live.client.get(path)
        head = await live.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


async def test_prefix_may_be_left_out() -> None:
    """Users who forget /v1 in the base URL are served all the same."""
    async with running() as live:
        with_prefix = await live.client.get("/v1/models")
        without = await live.client.get("/models")
    assert without.json() == with_prefix.json()
