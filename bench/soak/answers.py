"""Sends one request and holds its answer to what the API promises of every answer.

Invariant: each call returns an answer that is whole and well formed, or raises one of the three ways
in which it is not: `Busy` (refused politely), `Broken` (an honest error: the engine went away), `Wrong`
(anything else; none may ever happen).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

Json = dict[str, Any]

_BUSY = (429, 503)


class Busy(Exception):
    """Refused for now, with a time to come back."""


class Broken(Exception):
    """Ended by an error that says so."""


class Wrong(Exception):
    """Not what the API promises; the text says how."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """A stream that ended as it should."""

    chunks: list[Json]
    texts: dict[int, str] = field(default_factory=dict)
    """Content by choice."""
    finish_reasons: dict[int, str] = field(default_factory=dict)
    id: str = ""


async def whole(client: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> Json:
    """The answer to a request that is not streamed."""
    return _read(await client.post(path, json=body))


async def fetched(client: httpx.AsyncClient, path: str) -> Json:
    """What a GET finds."""
    return _read(await client.get(path))


async def refusal(client: httpx.AsyncClient, path: str, body: object, status: int, param: str | None) -> None:
    """The answer to a request that must be refused with this status and parameter."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await client.post(path, content=content, headers={"content-type": "application/json"})
    error = _error_of(answer)
    if answer.status_code != status or error.get("param") != param:
        raise Wrong(f"expected {status} for {param}, got {answer.status_code} for {error.get('param')}")


async def streamed(client: httpx.AsyncClient, body: Mapping[str, Any], leave_after: int = 0) -> Streamed:
    """A chat completion's stream to its end, or its first chunks if the reader is to leave."""
    asked = {**body, "stream": True}
    chunks: list[Json] = []
    async with client.stream("POST", "/v1/chat/completions", json=asked) as answer:
        if answer.status_code != 200:
            await answer.aread()
            _read(answer)
        async for line in answer.aiter_lines():
            if line == "data: [DONE]":
                return _checked(chunks, body)
            if line.startswith("data: "):
                chunks.append(_chunk(line.removeprefix("data: ")))
            elif line and not line.startswith(":"):
                raise Wrong(f"a line of a stream that is no event: {line[:40]!r}")
            if leave_after and len(chunks) >= leave_after:
                return Streamed(chunks)
    raise Wrong("a stream ended without [DONE]")


def _chunk(data: str) -> Json:
    chunk: Json = json.loads(data)
    if "error" in chunk:
        raise Broken(str(chunk["error"].get("type")))
    return chunk


def _checked(chunks: list[Json], body: Mapping[str, Any]) -> Streamed:
    """Hold a whole stream to the rules of streams."""
    found = Streamed(chunks, id=chunks[0]["id"])
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        index = choice["index"]
        if index in found.finish_reasons:
            raise Wrong(f"choice {index} went on behind its end")
        found.texts[index] = found.texts.get(index, "") + (choice["delta"].get("content") or "")
        if choice["finish_reason"] is not None:
            found.finish_reasons[index] = choice["finish_reason"]
    if set(found.finish_reasons) != set(range(body.get("n", 1))):
        raise Wrong(f"choices that ended: {sorted(found.finish_reasons)}")
    usages = [place for place, chunk in enumerate(chunks) if chunk.get("usage")]
    asked = body.get("stream_options", {}).get("include_usage", False)
    if usages != ([len(chunks) - 1] if asked else []):
        raise Wrong(f"usage in chunks {usages} of {len(chunks)}")
    return found


def _read(answer: httpx.Response) -> Json:
    if answer.status_code == 200:
        return dict(answer.json())
    error = _error_of(answer)
    if answer.status_code in _BUSY and "retry-after" in answer.headers:
        raise Busy(str(error.get("code")))
    if answer.status_code in (500, *_BUSY):
        raise Broken(f"{answer.status_code} {error.get('type')}")
    raise Wrong(f"{answer.status_code} {error.get('code')} for {error.get('param')}")


def _error_of(answer: httpx.Response) -> Json:
    try:
        error: Json = answer.json()["error"]
        error["message"], error["type"]
    except (ValueError, KeyError, TypeError):
        raise Wrong(f"{answer.status_code} without an error envelope") from None
    return error
