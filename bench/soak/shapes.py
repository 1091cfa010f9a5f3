"""The requests of a soak: many kinds, each drawn from a source of chance, each with its own check.

Weights are those of a busy server with some broken clients: a tenth leaves early, a twentieth is bad.

Invariant: a shape raises `Wrong` if and only if the server broke a promise.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from bench.soak.answers import Json, Wrong, fetched, refusal, streamed, whole
from bench.workloads import sentence

_CHAT = "/v1/chat/completions"

Hold = Callable[[httpx.AsyncClient, Random, str], Awaitable[None]]
"""Holds one exchange with the server; the last argument is the model's name."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of request."""

    name: str
    weight: int
    hold: Hold


def _chat(chance: Random, model: str, words: int = 20, **fields: Any) -> Json:
    messages = [{"role": "user", "content": sentence(chance, words)}]
    return {"model": model, "messages": messages, "max_tokens": chance.choice((8, 16, 32, 64)), **fields}


async def _streams(client: httpx.AsyncClient, chance: Random, model: str) -> None:
    usage = chance.random() < 0.5
    await streamed(client, _chat(chance, model, stream_options={"include_usage": usage}))


async def _waits(client: httpx.AsyncClient, chance: Random, model: str) -> None:
    body = _chat(chance, model, n=chance.choice((1, 1, 3)))
    answer = await whole(client, _CHAT, body)
    if [choice["index"] for choice in answer["choices"]] != list(range(body["n"])):
        raise Wrong("choices are missing")
    if answer["usage"]["completion_tokens"] > body["n"] * body["max_tokens"]:
        raise Wrong("more tokens than were asked for")


async def _leaves(client: httpx.AsyncClient, chance: Random, model: str) -> None:
    await streamed(client, _chat(chance, model, max_tokens=512), leave_after=chance.randint(1, 12))


async def _long_prompt(client: httpx.AsyncClient, chance: Random, model: str) -> None:
    await streamed(client, _chat(chance, model, words=chance.randint(300, 1200)))


async def _schema(client: httpx.AsyncClient, chance: Random, model: str) -> None:
    """A schema that the server has not seen."""
    names = [f"{word}_{chance.randrange(10**6)}" for word in sentence(chance, 3).split()]
    fields = [{"type": "integer"}, {"enum": ["yes", "no"]}, {"type": "boolean"}]
    schema = {
        "type": "object",
        "properties": dict(zip(names, fields, strict=True)),
        "required": names,
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}}
    found = await streamed(client, _chat(chance, model, response_format=form, max_tokens=200))
    if found.finish_reasons[0] == "stop":
        Draft202012Validator(schema).validate(json.loads(found.texts[0]))


async def _tool(client: httpx.AsyncClient, chance: Random, model: str) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tool = {"type": "function", "function": {"name": "count", "parameters": schema}}
    body = _chat(chance, model, tools=[tool], tool_choice="required", max_tokens=100)
    choice = (await whole(client, _CHAT, body))["choices"][0]
    for call in choice["message"].get("tool_calls") or []:
        if choice["finish_reason"] != "length":
            Draft202012Validator(schema).validate(json.loads(call["function"]["arguments"]))


async def _stores(client: httpx.AsyncClient, chance: Random, model: str) -> None:
    mark = str(chance.randrange(10**9))
    found = await streamed(client, _chat(chance, model, store=True, metadata={"mark": mark}))
    kept = await fetched(client, f"{_CHAT}/{found.id}")
    if kept["metadata"] != {"mark": mark} or kept["choices"][0]["message"]["content"] != found.texts[0]:
        raise Wrong("what was stored is not what was said")
    if chance.random() < 0.8:
        await client.delete(f"{_CHAT}/{found.id}")


async def _responses(client: httpx.AsyncClient, chance: Random, model: str) -> None:
    body = {"model": model, "input": sentence(chance, 20), "max_output_tokens": 24, "store": False}
    answer = await whole(client, "/v1/responses", body)
    if answer["status"] not in ("completed", "incomplete"):
        raise Wrong(f"a response that is {answer['status']}")


async def _bad(client: httpx.AsyncClient, chance: Random, model: str) -> None:
    """What a broken client sends, and the field that is to be blamed."""
    right = _chat(chance, model)
    body, status, param = chance.choice(
        (
            ({**right, "temperature": 9}, 400, "temperature"),
            ({**right, "n": 10**9}, 400, "n"),
            ({**right, "messages": []}, 400, "messages"),
            ({**right, "model": "../../etc/passwd"}, 404, None),
            (b'{"model": ', 400, None),
            (b"[" * 100_000, 400, None),
        )
    )
    await refusal(client, _CHAT, body, status, param)


SHAPES = (
    Shape("streams", 30, _streams),
    Shape("waits", 20, _waits),
    Shape("leaves", 10, _leaves),
    Shape("long-prompt", 6, _long_prompt),
    Shape("schema", 10, _schema),
    Shape("tool", 6, _tool),
    Shape("stores", 8, _stores),
    Shape("responses", 5, _responses),
    Shape("bad", 5, _bad),
)
