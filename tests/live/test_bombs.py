"""Schemas, patterns and grammars made to do harm, sent to a live server beside ordinary streams.

The model is a tiny one; the engine and the prober are the real ones. How much slower the others get is
measured by `python -m bench.micro.bombs`.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import httpx
import pytest

from antiphon.text.schema.validator import AnswerValidator
from tests.live.server_process import ServerProcess, running
from tests.schema_bombs import BOMBS, Bomb, requests
from tests.tiny_models import TinyModel, write_tiny_model

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

_BASE = '"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":30'
_STREAM = f'{{{_BASE},"stream":true,"ignore_eos":true}}'
_SENDERS = 4
_STREAMS = 2
_TRIES = 10


@pytest.fixture(scope="module")
def tiny_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose model has two small layers and tokens of a byte."""
    folder = tmp_path_factory.mktemp("tiny")
    model = write_tiny_model(folder / "tiny.gguf", TinyModel(context_length=4096))
    cache = {"XDG_CACHE_HOME": str(folder / "cache")}
    with running(folder / "server", "--kv-cache-mib", "64", str(model), **cache) as process:
        yield process


def post(http: httpx.Client, body: str) -> httpx.Response:
    """Send a body as it is."""
    return http.post("/chat/completions", content=body, headers={"content-type": "application/json"})


def send(http: httpx.Client, fields: str) -> httpx.Response:
    """Send a bomb; come again where the machine is too busy to try it, as clients do."""
    for _ in range(_TRIES):
        answer = post(http, f"{{{_BASE},{fields}}}")
        if answer.status_code != 503:
            break
    return answer


def trouble(bomb: Bomb, answer: httpx.Response) -> str | None:
    """What is wrong with the answer to a bomb."""
    body: dict[str, Any] = answer.json()
    if answer.status_code == 400:
        told = body["error"]
        good = bomb.fate != "held" and told["type"] == "invalid_request_error" and told["message"]
        return None if good else f"{bomb.name}: {told}"
    if answer.status_code != 200 or bomb.fate == "refused":
        return f"{bomb.name}: {answer.status_code} {answer.text[:200]}"
    (choice,) = body["choices"]
    if choice["finish_reason"] == "stop" and bomb.constraint.kind == "json_schema":
        content = choice["message"]["content"]
        AnswerValidator(json.loads(bomb.constraint.text)).check(content) if content else None
    return None


def stream_until(over: Event, url: str) -> int:
    """Ordinary streams, one after the other; how many came, each of them whole."""
    count = 0
    with httpx.Client(base_url=url, timeout=120) as http:
        while not over.is_set() or not count:
            answer = post(http, _STREAM)
            assert answer.status_code == 200
            assert answer.text.endswith("data: [DONE]\n\n")
            assert '"finish_reason":"length"' in answer.text
            count += 1
    return count


def test_bombs_are_refused_or_answered_and_nobody_else_notices(tiny_server: ServerProcess) -> None:
    """Each gets a 400 or a valid answer; streams beside them are whole; no process dies."""
    engines, over = tiny_server.engines(), Event()
    sent = [(bomb, fields) for bomb in BOMBS for fields in requests(bomb)]
    limits = httpx.Limits(max_connections=_SENDERS)
    with (
        ThreadPoolExecutor(_SENDERS + _STREAMS) as pool,
        httpx.Client(base_url=tiny_server.base_url, timeout=120, limits=limits) as http,
    ):
        streams = [pool.submit(stream_until, over, tiny_server.base_url) for _ in range(_STREAMS)]
        try:
            answers = list(pool.map(lambda each: send(http, each[1]), sent))
        finally:
            over.set()
        counts = [stream.result() for stream in streams]

    found = [trouble(bomb, answer) for (bomb, _), answer in zip(sent, answers, strict=True)]
    assert [each for each in found if each] == []
    assert min(counts) > 0
    assert tiny_server.engines() == engines
    assert len(engines) == 1
