"""Every row of the table of errors, as OpenAI's two clients give it to their users.

The rows are those of the catalogue beside this file, so a new error is tested here without a word.
Which class a status has, and what an error says of itself, is the clients' own affair; that each of
the server's errors arrives with all it has to say is ours.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from antiphon.api.errors import ErrorAnswer, answer
from antiphon.core.errors import AntiphonError, Overloaded
from antiphon.core.messages import ChatRequest
from antiphon.service.completion import Completion
from tests.conformance.test_error_catalogue import CATALOGUE
from tests.live.client_runs import ROOT, environment
from tests.unit.api.live import running
from tests.unit.api.scripted import ScriptedCompletions

CLASSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
}
"""Names that both clients have; any other status below 500 is their common class."""

HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]

NODE_IS_MISSING = not (ROOT / "tests/js/node_modules").is_dir() and not os.environ.get("CI")


class Refusing(ScriptedCompletions):
    """Refuses each request with the row of the catalogue that its message names."""

    async def open(self, request: ChatRequest, project: str = "") -> Completion:
        """Raise that row's error."""
        raise CATALOGUE[int(request.messages[0].content)][0]


class BusyAtFirst(ScriptedCompletions):
    """Refuses every other request."""

    async def open(self, request: ChatRequest, project: str = "") -> Completion:
        """A 503 with a short wait, or the answer."""
        self.refusal = Overloaded(0.01) if len(self.requests) % 2 == 0 else None
        return await super().open(request, project)


def expected(error: AntiphonError) -> dict[str, Any]:
    """What a client is to say of it."""
    told: ErrorAnswer = answer(error)
    return {
        "status": told.status,
        "type": told.type,
        "code": told.code,
        "param": told.param,
        "message": told.message,
        "retry": {
            name: told.headers.get(name) for name in ("retry-after", "retry-after-ms", "x-should-retry")
        },
    }


def class_of(status: int, common: str) -> str:
    """The class of an error with this status."""
    return "InternalServerError" if status >= 500 else CLASSES.get(status, common)


def retry_headers(headers: Mapping[str, str]) -> dict[str, str | None]:
    """What says whether and when to try again."""
    return {name: headers.get(name) for name in ("retry-after", "retry-after-ms", "x-should-retry")}


@pytest.mark.parametrize("stream", [False, True])
async def test_python_client_gives_every_error(stream: bool) -> None:
    """Class, status, type, code, param, message, request id and headers; the same for a stream."""
    async with (
        running(Refusing()) as live,
        AsyncOpenAI(base_url=f"http://127.0.0.1:{live.port}/v1", api_key="any", max_retries=0) as client,
    ):
        for row, (error, _) in enumerate(CATALOGUE):
            with pytest.raises(openai.APIStatusError) as caught:
                await client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": str(row)}], stream=stream
                )
            raised = caught.value
            assert type(raised).__name__ == class_of(raised.status_code, "APIStatusError")
            assert isinstance(raised.body, dict)
            assert {
                "status": raised.status_code,
                "type": raised.type,
                "code": raised.code,
                "param": raised.param,
                "message": raised.body["message"],
                "retry": retry_headers(raised.response.headers),
            } == expected(error)
            assert raised.body["message"] in raised.message
            assert str(raised.request_id).startswith("req_")
            assert raised.response.headers["content-type"] == "application/json"


async def run_script(name: str, port: int, *arguments: str) -> Any:
    """What a script of tests/js prints."""
    process = await asyncio.create_subprocess_exec(
        environment("clients") / "node",
        name,
        *arguments,
        cwd=ROOT / "tests" / "js",
        env=os.environ | {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": "any"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


@pytest.mark.live
@pytest.mark.skipif(NODE_IS_MISSING, reason="the clients are not installed: `make test` does that")
async def test_npm_client_gives_every_error() -> None:
    """The same, in JavaScript."""
    async with running(Refusing()) as live:
        caught = await run_script("errors.mjs", live.port, str(len(CATALOGUE)))

    for told, (error, _) in zip(caught, [row for row in CATALOGUE for _ in (False, True)], strict=True):
        assert told.pop("class") == class_of(told["status"], "APIError")
        assert told.pop("requestId").startswith("req_")
        message = told.pop("message")
        wanted = expected(error)
        assert message == f"{wanted['status']} {wanted.pop('message')}"
        assert told == wanted


async def test_python_client_gets_its_answer_after_one_503() -> None:
    """By its own retries, at the time that the server names."""
    async with (
        running(BusyAtFirst()) as live,
        AsyncOpenAI(base_url=f"http://127.0.0.1:{live.port}/v1", api_key="any", max_retries=2) as client,
    ):
        completion = await client.chat.completions.create(model="m", messages=HI)
        stream = await client.chat.completions.create(model="m", messages=HI, stream=True)
        parts = [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert completion.choices[0].message.content == "".join(parts) == "Hello"


@pytest.mark.live
@pytest.mark.skipif(NODE_IS_MISSING, reason="the clients are not installed: `make test` does that")
async def test_npm_client_gets_its_answer_after_one_503() -> None:
    """The same, in JavaScript."""
    completions = BusyAtFirst()
    async with running(completions) as live:
        said = await run_script("retry.mjs", live.port)

    assert said == ["Hello", "Hello"]
    assert len(completions.requests) == 4
