"""OpenAI's own Python SDK against the scripted server: helpers, accumulators and error classes."""

import openai
import pytest
from openai import AsyncOpenAI

from antiphon.api.app import ApiOptions
from antiphon.core.errors import ContextLengthExceeded, EngineFailed, Overloaded
from antiphon.core.events import (
    AlternativeToken,
    ChoiceEnded,
    Completed,
    Failed,
    ScoredToken,
    TextDelta,
    Usage,
)
from tests.unit.api.live import Live, running
from tests.unit.api.scripted import ScriptedCompletions

TWO_CHOICES = (
    TextDelta(1, "b", (ScoredToken("b", b"b", -1.0, (AlternativeToken("b", b"b", -1.0),)),)),
    TextDelta(0, "a", (ScoredToken("a", b"a", -2.0),)),
    ChoiceEnded(1, "stop"),
    ChoiceEnded(0, "stop"),
    Completed(Usage(3, 2, 1)),
)


def client_of(live: Live, retries: int = 0) -> AsyncOpenAI:
    """The SDK, pointed at this server."""
    return AsyncOpenAI(base_url=f"http://127.0.0.1:{live.port}/v1", api_key="sk-none", max_retries=retries)


async def test_accumulated_stream_equals_the_whole_answer() -> None:
    """With several choices, logprobs and usage: the SDK arrives at the same object both ways."""
    async with running(ScriptedCompletions(TWO_CHOICES)) as live, client_of(live) as client:
        whole = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hi"}], n=2, logprobs=True
        )
        async with client.chat.completions.stream(
            model="m",
            messages=[{"role": "user", "content": "Hi"}],
            n=2,
            logprobs=True,
            stream_options={"include_usage": True},
        ) as stream:
            streamed = await stream.get_final_completion()
    dumped = streamed.model_dump(exclude_unset=True)
    for choice, expected in zip(dumped["choices"], whole.model_dump()["choices"], strict=True):
        assert choice["message"]["content"] == expected["message"]["content"]
        assert choice["finish_reason"] == expected["finish_reason"]
        assert choice["logprobs"] == expected["logprobs"]
    assert dumped["usage"] == whole.model_dump(exclude_unset=True)["usage"]
    assert (streamed.id, streamed.model, streamed.system_fingerprint) == (
        whole.id,
        whole.model,
        whole.system_fingerprint,
    )


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (ContextLengthExceeded(1, 2), openai.BadRequestError),
        (Overloaded(), openai.InternalServerError),
    ],
)
async def test_refusals_have_the_right_class(refusal: Exception, error: type[openai.APIStatusError]) -> None:
    """Also when a stream was asked for; and the request id is where users look for it."""
    completions = ScriptedCompletions(refusal=refusal)  # type: ignore[arg-type]
    async with running(completions) as live, client_of(live) as client:
        with pytest.raises(error) as caught:
            await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
            )
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_")


async def test_missing_key_is_an_authentication_error() -> None:
    """401 for every path."""
    options = ApiOptions(api_keys=frozenset({"right"}))
    async with running(options=options) as live, client_of(live) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()


async def test_failure_within_a_stream_is_an_api_error() -> None:
    """With the message and type of the error event."""
    completions = ScriptedCompletions((TextDelta(0, "Hel"), Failed(EngineFailed())))
    async with running(completions) as live, client_of(live) as client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        with pytest.raises(openai.APIError, match="Sorry about that") as caught:
            async for _ in stream:
                pass
    assert caught.value.type == "server_error"


async def test_sdk_retries_when_told_to() -> None:
    """A 503 with Retry-After is tried again, as often as the client allows."""
    completions = ScriptedCompletions(refusal=Overloaded(0.001))
    async with running(completions) as live, client_of(live, retries=2) as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert len(completions.requests) == 3


async def test_models_are_found_by_ids_with_slashes() -> None:
    """The SDK encodes them."""
    async with running() as live, client_of(live) as client:
        listed = [model.id async for model in client.models.list()]
        found = await client.models.retrieve("org/m:1")
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("org/other")
    assert listed == ["m", "org/m:1"]
    assert found.id == "org/m:1"
