"""Patterns that other servers know, held by the real model through the official client's `extra_body`."""

import re
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion

from tests.live.server_process import ServerProcess

pytestmark = [pytest.mark.live, pytest.mark.model, pytest.mark.timeout(300)]

GREETING = 'start: "Hello, " NAME "!"\nNAME: /[A-Z][a-z]{2,8}/\n'


@pytest.fixture
def client(server: ServerProcess) -> Iterator[OpenAI]:
    """The official client."""
    with OpenAI(base_url=server.base_url, api_key="any", max_retries=0, timeout=120) as client:
        yield client


def ask(client: OpenAI, **extra: object) -> ChatCompletion:
    """A hot question under a pattern."""
    return client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Say something."}],
        temperature=1.5,
        n=4,
        max_completion_tokens=60,
        extra_body=extra,
    )


@pytest.mark.parametrize(
    ("extra", "pattern"),
    [
        ({"guided_regex": "[a-f]{3}-[0-9]{2}"}, "[a-f]{3}-[0-9]{2}"),
        ({"structured_outputs": {"regex": "(left|right)+"}}, "(left|right)+"),
        ({"guided_choice": ["yes", "no", 'it\'s "both"\n']}, 'yes|no|it\'s "both"\n'),
        ({"guided_grammar": GREETING}, "Hello, [A-Z][a-z]{2,8}!"),
        ({"guided_json": {"type": "integer", "minimum": 10, "maximum": 99}}, "[1-9][0-9]"),
    ],
)
def test_pattern_holds_on_every_choice(client: OpenAI, extra: dict[str, object], pattern: str) -> None:
    """Finished answers match as a whole; one that was cut says so."""
    for choice in ask(client, **extra).choices:
        if choice.finish_reason == "stop":
            assert re.fullmatch(pattern, choice.message.content or ""), choice
        else:
            assert choice.finish_reason == "length"


def test_pattern_that_is_none_is_refused_by_name(client: OpenAI) -> None:
    """Before anything is generated."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, guided_regex="(unclosed")
    assert caught.value.param == "guided_regex"


def test_tier_is_echoed(client: OpenAI) -> None:
    """Whole and streamed."""
    whole = ask(client, service_tier="flex")
    assert whole.service_tier == "flex"
