"""Requests refused by their head."""

import pytest

from antiphon.api.app import ApiOptions
from antiphon.api.http_errors import BadFraming, HostRefused
from antiphon.api.middleware.guards import Guards, host_name
from tests.unit.api.live import post, running, status_of

BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8000", "localhost"),
        ("localhost.", "localhost"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:8000", "[::1]"),
        ("[::1]", "[::1]"),
    ],
)
def test_host_name_is_the_host_without_its_port(host: str, name: str) -> None:
    """Spellings of one name are one name."""
    assert host_name(host) == name


@pytest.mark.parametrize(
    "host",
    ["", ":80", "a b/c", "h/v1/models?", "h#", "u@localhost", "[::1", "h:port", "h:99999", "h:0", "h:-1"],
)
def test_host_name_refuses_what_is_no_host(host: str) -> None:
    """Nothing that could be read as more than a name and a port passes."""
    with pytest.raises(BadFraming):
        host_name(host)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:1234", 200),
        ("[::1]:8000", 200),
        ("models.example", 200),
        ("evil.test", 403),
        ("127.0.0.1.evil.test", 403),
        ("10.1.2.3", 403),
        ("localhost@evil.test", 400),
        ("x" * 8000, 403),
    ],
)
async def test_host_must_be_a_name_of_this_server(host: str, status: int) -> None:
    """Loopback names and configured ones pass; foreign ones are misdirected."""
    options = ApiOptions(allowed_hosts=ApiOptions().allowed_hosts | {"models.example"})
    async with running(options=options) as live:
        answer = await live.exchange(post(BODY, "Connection: close", host=host))
    assert status_of(answer) == status


async def test_address_of_the_connection_is_always_a_good_host() -> None:
    """The address that a client evidently reached needs no configuration."""
    async with running(options=ApiOptions(allowed_hosts=frozenset())) as live:
        own = await live.exchange(post(BODY, "Connection: close", host="127.0.0.1:80"))
        other = await live.exchange(post(BODY, "Connection: close", host="127.0.0.2"))
    assert (status_of(own), status_of(other)) == (200, 403)


async def test_own_address_may_be_unknown() -> None:
    """On a Unix socket there is none, and only configured names pass."""

    async def never(*args: object) -> None:
        raise AssertionError

    scope = {"headers": [(b"host", b"127.0.0.1")], "query_string": b"", "server": None}
    with pytest.raises(HostRefused):
        await Guards(never, ApiOptions(allowed_hosts=frozenset()))(scope, never, never)  # type: ignore[arg-type]


async def test_any_host_passes_where_that_is_asked_for() -> None:
    """The star switches the check of names off, not the check of form."""
    async with running(options=ApiOptions(allowed_hosts=frozenset({"*"}))) as live:
        any_host = await live.exchange(post(BODY, "Connection: close", host="evil.test"))
        no_host = await live.exchange(post(BODY, "Connection: close", host="h#"))
    assert (status_of(any_host), status_of(no_host)) == (200, 400)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("https://localhost:8000", 200),
        ("http://localhost:9000", 403),
        ("https://evil.test", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_origin_of_another_page_is_refused(origin: str, status: int) -> None:
    """A browser tells where a request comes from; only this server's own pages may post."""
    async with running() as live:
        answer = await live.exchange(
            post(BODY, f"Origin: {origin}", "Connection: close", host="localhost:8000")
        )
    assert status_of(answer) == status
    assert b"access-control" not in answer.lower()


async def test_reading_with_a_foreign_origin_is_harmless() -> None:
    """Without CORS headers the page cannot see the answer."""
    async with running() as live:
        response = await live.client.get("/v1/models", headers={"origin": "https://evil.test"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


async def test_too_many_headers_are_refused() -> None:
    """More headers than any client sends are a 431 in the envelope."""
    async with running() as live:
        many = await live.client.get("/v1/models", headers={f"x-{index}": "1" for index in range(80)})
        large = await live.client.get("/v1/models", headers={"cookie": "x" * 17_000})
    for response in (many, large):
        assert response.status_code == 431
        assert response.json()["error"]["type"] == "invalid_request_error"


async def test_long_target_is_refused() -> None:
    """A URL beyond its cap is a 414 in the envelope."""
    async with running() as live:
        response = await live.client.get("/v1/models?" + "x" * 9000)
    assert response.status_code == 414
    assert response.json()["error"]["message"] == "The URL is too long."
