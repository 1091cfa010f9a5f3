"""Web pages of other origins: those that were named may call, others find no door."""

import httpx
import pytest

from antiphon.api.app import ApiOptions
from tests.unit.api.live import HI, running

PAGE = "https://app.example"
OPTIONS = ApiOptions(allowed_origins=frozenset({PAGE, "http://localhost:3000"}), api_keys=frozenset({"sk-1"}))
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    "access-control-request-private-network": "true",
}


def allowed(answer: httpx.Response) -> dict[str, str]:
    """What an answer says about cross-origin use."""
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def test_preflight_of_a_named_page_is_answered() -> None:
    """Without a key, which browsers do not send then, and with the headers that SDKs send."""
    async with running(options=OPTIONS) as live:
        answer = await live.client.options("/v1/chat/completions", headers={"origin": PAGE, **PREFLIGHT})

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]
    assert answer.headers["access-control-allow-private-network"] == "true"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


async def test_named_page_reads_answers_streams_and_errors() -> None:
    """Each comes with the origin, and tells which headers may be read."""
    key = {"origin": PAGE, "authorization": "Bearer sk-1"}
    async with running(options=OPTIONS) as live:
        whole = await live.client.post("/v1/chat/completions", json=HI, headers=key)
        stream = await live.client.post("/v1/chat/completions", json={**HI, "stream": True}, headers=key)
        wrong = await live.client.post("/v1/chat/completions", json={}, headers=key)
        locked = await live.client.post("/v1/chat/completions", json=HI, headers={"origin": PAGE})

    assert [answer.status_code for answer in (whole, stream, wrong, locked)] == [200, 200, 400, 401]
    for answer in (whole, stream, wrong, locked):
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.test", "null", f"{PAGE}.evil.test", "HTTPS://app.example"])
async def test_other_pages_are_told_nothing(origin: str) -> None:
    """Neither by a preflight nor by an answer, and what they post is refused."""
    async with running(options=OPTIONS) as live:
        preflight = await live.client.options("/v1/models", headers={"origin": origin, **PREFLIGHT})
        posted = await live.client.post("/v1/chat/completions", json=HI, headers={"origin": origin})

    assert (preflight.status_code, posted.status_code) == (401, 403)
    assert allowed(preflight) == allowed(posted) == {}


async def test_two_origins_are_no_origin() -> None:
    """A browser sends one."""
    headers = [("origin", PAGE), ("origin", "https://evil.test")]
    async with running(options=OPTIONS) as live:
        answer = await live.client.post("/v1/chat/completions", json=HI, headers=headers)

    assert answer.status_code == 403
    assert allowed(answer) == {}


async def test_without_names_nobody_is_told_anything() -> None:
    """The default."""
    async with running() as live:
        answer = await live.client.options("/v1/models", headers={"origin": PAGE, **PREFLIGHT})

    assert answer.status_code == 405
    assert allowed(answer) == {}
