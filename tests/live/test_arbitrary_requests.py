"""A live server under arbitrary requests: it answers every one, never with a 5xx, and blames a field.

Requests are made of the table of fields, so that a new field is tried at once: a good request in which
some fields hold odd values, of the right type at their limits or of another type altogether.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.api.wire.fields import FIELDS
from tests.live.server_process import ServerProcess

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

NAMES = tuple(field.name for field in FIELDS)
EXAMPLES = 400

TEXTS = st.one_of(
    st.sampled_from(
        (
            "",
            "x",
            "fake",
            "user",
            "assistant",
            "tool",
            "system",
            "text",
            "function",
            "auto",
            "none",
            "required",
        )
    ),
    st.sampled_from(
        ("json_object", "json_schema", "custom", "grammar", "default", "low", "in_memory", "😀", "<|im_end|>")
    ),
    st.text(max_size=12),
)
NUMBERS = st.one_of(
    st.sampled_from((0, 1, -1, 2, 16, 128, 129, 2**31, -(2**63), 2**63, 10**30, 0.5, -0.0, 1e308, 1.5)),
    st.integers(-5, 25),
    st.floats(allow_nan=False, allow_infinity=False),
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
WORDS = """
type role content text name function parameters properties required items strict json_schema
schema tool_calls tool_call_id id arguments anyOf $ref enum mode tools allowed_tools custom
format grammar syntax definition choice regex json include_usage refusal image_url url pattern
minItems maximum additionalProperties
"""
KEYS = st.sampled_from(WORDS.split())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=12,
)

ROLES = st.sampled_from(("system", "developer", "user", "assistant", "tool", "function"))
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "id": TEXTS,
            "type": st.sampled_from(("function", "custom")),
            "function": st.fixed_dictionaries({"name": TEXTS, "arguments": TEXTS}),
        }
    ),
    max_size=2,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": ROLES},
        optional={
            "content": SCALARS | VALUES,
            "name": TEXTS,
            "tool_calls": CALLS | VALUES,
            "tool_call_id": TEXTS,
        },
    ),
    max_size=3,
)
TOOLS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": TEXTS}, optional={"parameters": VALUES, "strict": VALUES}
            ),
        }
    ),
    max_size=2,
)
FORMATS = st.fixed_dictionaries(
    {
        "type": st.just("json_schema"),
        "json_schema": st.fixed_dictionaries({"name": TEXTS, "schema": VALUES}, optional={"strict": VALUES}),
    }
)
SHAPED: dict[str, st.SearchStrategy[Any]] = {"messages": MESSAGES, "tools": TOOLS, "response_format": FORMATS}
"""Fields whose inside is worth being almost right."""


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A request that would be good but for a few fields."""
    body: dict[str, Any] = {
        "model": "fake",
        "messages": [{"role": "user", "content": "Say something in JSON."}],
        "max_completion_tokens": 8,
    }
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)):
        body[name] = draw(SHAPED[name] | VALUES if name in SHAPED else VALUES)
    body.update(draw(st.dictionaries(TEXTS, VALUES, max_size=1)))
    return body


@pytest.fixture(scope="module")
def http(fake_server: ServerProcess) -> Iterator[httpx.Client]:
    """A connection to the fake engine's server."""
    with httpx.Client(base_url=fake_server.origin, timeout=30) as client:
        yield client


def check_error(answer: httpx.Response, body: dict[str, Any]) -> None:
    """It is the client's fault, in the envelope, and the param begins with a field of the request."""
    assert answer.status_code in (400, 404), (answer.status_code, answer.text, body)
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    assert len(answer.content) <= 4096
    if answer.status_code == 404:
        assert error["code"] == "model_not_found"
        return
    field = str(error["param"]).partition(".")[0].partition("[")[0]
    assert field in NAMES, (error, body)


def check_stream(text: str) -> None:
    """It ends in the end mark, or in an error."""
    *_, last = [event for event in text.split("\n\n") if event.startswith("data: ")]
    assert last == "data: [DONE]"
    assert '"error"' not in text.partition('"choices"')[0]


@given(body=bodies())
@settings(max_examples=EXAMPLES)
def test_arbitrary_request_is_answered_or_refused_by_name(http: httpx.Client, body: dict[str, Any]) -> None:
    """Status, envelope, param and size; a stream's end."""
    answer = http.post(
        "/v1/chat/completions", content=json.dumps(body), headers={"content-type": "application/json"}
    )

    if answer.status_code != 200:
        check_error(answer, body)
    elif answer.headers["content-type"].startswith("text/event-stream"):
        check_stream(answer.text)
    else:
        assert answer.json()["object"] == "chat.completion"
    assert answer.headers["x-request-id"].startswith("req_")


@given(
    data=st.binary(max_size=60)
    | st.text(alphabet='{}[]",:\\u0019eE-. nulltrafs', max_size=40).map(str.encode)
)
@settings(max_examples=EXAMPLES // 2)
def test_arbitrary_bytes_are_refused(http: httpx.Client, data: bytes) -> None:
    """Whatever it is, it is no request."""
    answer = http.post("/v1/chat/completions", content=data, headers={"content-type": "application/json"})

    assert answer.status_code == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
