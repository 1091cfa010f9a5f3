"""Request bodies: what is read, and what is refused before it is understood."""

import gzip
import json

import pytest

from antiphon.api.app import ApiOptions
from antiphon.api.bodies import MAX_BRACKETS, MAX_DEPTH, decode_json
from antiphon.api.http_errors import MalformedJson
from tests.unit.api.live import HI, post, running, status_of
from tests.unit.api.scripted import ScriptedCompletions

BODY = json.dumps(HI).encode()


def nested(depth: int) -> bytes:
    """Objects and arrays inside each other, alternately."""
    opening = [b"[" if level % 2 else b'{"a":' for level in range(depth)]
    closing = [b"]" if level % 2 else b"}" for level in range(depth)]
    return b"".join(opening) + b"1" + b"".join(reversed(closing))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b"[1,]",
        b"NaN",
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'"\\ud800"',
        b'{"a": "\\udc00\\ud800"}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b"9" * 5000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_malformed_json_is_refused(body: bytes) -> None:
    """What is not JSON, not Unicode or beyond all reason is one error, never a crash."""
    with pytest.raises(MalformedJson):
        decode_json(body)


def test_nesting_is_bounded() -> None:
    """The deepest allowed body passes, one more level does not."""
    decode_json(nested(MAX_DEPTH))
    with pytest.raises(MalformedJson):
        decode_json(nested(MAX_DEPTH + 1))


def test_number_of_brackets_is_bounded() -> None:
    """A body of nothing but empty arrays is refused before it fills the memory."""
    decode_json(b"[" + b"[]," * (MAX_BRACKETS - 2) + b"[]]")
    with pytest.raises(MalformedJson):
        decode_json(b"[" + b"[]," * (MAX_BRACKETS - 1) + b"[]]")


def test_last_of_equal_keys_wins() -> None:
    """As in every common parser."""
    assert decode_json(b'{"a": 1, "a": 2}') == {"a": 2}


def test_order_of_keys_is_kept() -> None:
    """A schema's properties come out in the order they went in."""
    assert list(decode_json(b'{"z": 1, "a": 2, "m": 3}')) == ["z", "a", "m"]  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/vnd.api+json",
    ],
)
async def test_json_media_types_are_read(content_type: str) -> None:
    """Whatever says JSON in UTF-8 is JSON."""
    async with running() as live:
        response = await live.client.post(
            "/v1/chat/completions", content=BODY, headers={"content-type": content_type}
        )
    assert response.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "text/json+json",
        "",
    ],
)
async def test_other_media_types_are_refused(content_type: str) -> None:
    """A form or plain text, which any web page can post, is never read."""
    completions = ScriptedCompletions()
    async with running(completions) as live:
        response = await live.client.post(
            "/v1/chat/completions", content=BODY, headers={"content-type": content_type}
        )
    assert response.status_code == 415
    assert response.json()["error"]["code"] == "unsupported_media_type"
    assert completions.requests == []


async def test_undeclared_body_is_refused() -> None:
    """No media type is not JSON."""
    async with running() as live:
        answer = await live.exchange(
            post(BODY, "Connection: close").replace(b"Content-Type: application/json\r\n", b"")
        )
    assert status_of(answer) == 415


async def test_compressed_body_is_refused() -> None:
    """Nothing is unpacked."""
    async with running() as live:
        response = await live.client.post(
            "/v1/chat/completions",
            content=gzip.compress(BODY),
            headers={"content-type": "application/json", "content-encoding": "gzip"},
        )
    assert response.status_code == 415


async def test_body_beyond_the_cap_is_refused() -> None:
    """Declared or not, the cap holds to the byte; an early answer leaves the connection usable."""
    options = ApiOptions(max_body=len(BODY))

    async def chunks() -> object:
        yield BODY
        yield b" "

    async with running(options=options) as live:
        headers = {"content-type": "application/json"}
        url = "/v1/chat/completions"
        fits = await live.client.post(url, content=BODY, headers=headers)
        declared = await live.client.post(url, content=BODY + b" ", headers=headers)
        undeclared = await live.client.post(url, content=chunks(), headers=headers)  # type: ignore[arg-type]
    assert (fits.status_code, declared.status_code, undeclared.status_code) == (200, 413, 413)
    assert declared.json()["error"]["code"] == "request_too_large"


async def test_client_that_leaves_within_its_body_is_not_served() -> None:
    """Half a body is no body."""
    completions = ScriptedCompletions()
    async with running(completions) as live:
        connection = await live.connect()
        await connection.send(post(BODY)[:-5])
        await connection.close()
    assert completions.requests == []
