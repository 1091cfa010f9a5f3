"""Instructor: pydantic objects from chat models, in each of its modes for this API."""

from typing import Any, Literal

import instructor
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

# A penalty keeps the small model from repeating itself up to the limit.
OPTIONS: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "max_tokens": 400,
    "temperature": 1.0,
    # By the body, since not every API of the client has them as arguments.
    "extra_body": {"frequency_penalty": 1.0, "seed": 1},
    "max_retries": 0,
}
QUESTION: Any = [{"role": "user", "content": "How do you feel?"}]
HELD = [instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.RESPONSES_TOOLS]
"""Modes in which a schema holds the answer."""


class Mood(BaseModel):
    """How somebody feels."""

    feeling: Literal["calm", "merry", "tired"]
    certain: bool


def client_at(url: str, mode: instructor.Mode) -> instructor.Instructor:
    """Instructor around the official client."""
    return instructor.from_openai(OpenAI(base_url=url, api_key="any", max_retries=0), mode=mode)


@pytest.mark.parametrize("mode", HELD, ids=lambda mode: mode.name)
def test_object(base_url: str, mode: instructor.Mode) -> None:
    """A valid object of the class, and the completion that it came from."""
    mood, completion = client_at(base_url, mode).create_with_completion(
        response_model=Mood, messages=QUESTION, **OPTIONS
    )

    assert isinstance(mood, Mood)
    assert completion.usage.total_tokens > 0


@pytest.mark.parametrize("mode", [instructor.Mode.JSON, instructor.Mode.MD_JSON], ids=lambda mode: mode.name)
def test_object_by_instructions(scripted_url: str, mode: instructor.Mode) -> None:
    """In the modes that only ask for JSON, by a model that does as it is told."""
    mood = client_at(scripted_url, mode).create(response_model=Mood, messages=QUESTION, **OPTIONS)

    assert mood.model_dump() == {"feeling": "calm", "certain": True}


@pytest.mark.parametrize("mode", HELD, ids=lambda mode: mode.name)
def test_streamed_partial_objects(base_url: str, mode: instructor.Mode) -> None:
    """Ever fuller objects, the last of them valid."""
    partial = list(
        client_at(base_url, mode).create_partial(response_model=Mood, messages=QUESTION, **OPTIONS)
    )

    assert len(partial) > 1
    assert Mood.model_validate(partial[-1].model_dump())


def test_list_of_objects(base_url: str) -> None:
    """`create_iterable` streams the objects of a list."""
    client = client_at(base_url, instructor.Mode.TOOLS)
    moods = list(client.create_iterable(response_model=Mood, messages=QUESTION, **OPTIONS))

    assert all(isinstance(mood, Mood) for mood in moods)


async def test_async_object(base_url: str) -> None:
    """The asynchronous client."""
    async with AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as plain:
        mood = await instructor.from_openai(plain).create(response_model=Mood, messages=QUESTION, **OPTIONS)

    assert isinstance(mood, Mood)


def test_retry_with_the_error(scripted_url: str) -> None:
    """An answer that does not validate is sent back with the reason, in messages that are accepted."""

    class Certainty(BaseModel):
        """Cannot be had from what is recited."""

        percent: int

    client = client_at(scripted_url, instructor.Mode.JSON)
    with pytest.raises(instructor.core.InstructorRetryException) as caught:
        client.create(response_model=Certainty, messages=QUESTION, **OPTIONS | {"max_retries": 1})

    assert caught.value.n_attempts == 2
    assert "percent" in str(caught.value)
