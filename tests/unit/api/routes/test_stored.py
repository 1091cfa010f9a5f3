"""The routes to stored completions: exact objects, pages, filters, and whose they are."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from antiphon.api.app import ApiOptions
from antiphon.core.events import ChoiceEnded, Completed, TextDelta, ToolArgumentsDelta, ToolCallStarted, Usage
from antiphon.service.stored import StoredCompletions
from antiphon.store.memory import MemoryStore
from tests.stored import FACTS, FailingStore, completion, keeping
from tests.unit.api.live import running
from tests.unit.api.scripted import ScriptedCompletions

URL = "/v1/chat/completions"

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 2,
    "total_tokens": 11,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}

STORED = {
    "id": "chatcmpl-a",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "tool_calls": None,
                "function_call": None,
                "role": "assistant",
                "content": "Hello",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
    "service_tier": "default",
    "system_fingerprint": "fp_test",
    "request_id": "req_1",
    "seed": 7,
    "tools": None,
    "temperature": 0.5,
    "input_user": None,
    "metadata": {},
}


def not_found(id: str, what: str = "Chat completion") -> dict[str, Any]:
    """The error of an id that is not there."""
    message = f"{what} with id '{id}' not found."
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


async def store_of(*names: str, **changes: object) -> MemoryStore:
    """A store in which the project of keyless callers has these completions."""
    store = MemoryStore()
    for name in names:
        await store.add(completion(name, "default", **changes))
    return store


async def get(store: MemoryStore, path: str, **query: object) -> httpx.Response:
    """Ask a server with this store; the path is that behind the collection."""
    async with running(stored=StoredCompletions(store)) as live:
        return await live.client.get(URL + path, params={key: str(value) for key, value in query.items()})


def error_of(response: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, code and param of an error."""
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


async def test_stored_completion_is_the_answer_and_its_request() -> None:
    """Every key, in order; the same without `/v1`."""
    store = await store_of("a")
    async with running(stored=StoredCompletions(store)) as live:
        responses = [await live.client.get(f"{prefix}/chat/completions/chatcmpl-a") for prefix in ("/v1", "")]

    for response in responses:
        assert response.status_code == 200
        assert response.text == json.dumps(STORED, separators=(",", ":"))


async def test_logprobs_are_there_where_they_were_asked_for() -> None:
    """Even where there are none."""
    kept = keeping("default")
    facts = {**FACTS, "shape": {"logprobs": True, "functions": False}}
    response = await get(await store_of("a", keeping=replace(kept, facts=facts)), "/chatcmpl-a")

    assert response.json()["choices"][0]["logprobs"] == {"content": [], "refusal": None}
    assert "shape" not in response.json()


@pytest.mark.parametrize(
    ("functions", "called"),
    [
        (
            False,
            {
                "tool_calls": [
                    {"id": "call_i", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ]
            },
        ),
        (True, {"function_call": {"name": "f", "arguments": "{}"}}),
    ],
)
async def test_calls_are_spelled_as_they_were(functions: bool, called: dict[str, Any]) -> None:
    """As tools or as functions, with the other key null."""
    facts = {**FACTS, "shape": {"logprobs": False, "functions": functions}}
    answer = (
        ToolCallStarted(0, 0, "i", "f"),
        ToolArgumentsDelta(0, 0, "{}"),
        ChoiceEnded(0, "tool_calls"),
        Completed(Usage(1, 2)),
    )
    store = await store_of("a", keeping=replace(keeping("default"), facts=facts), answer=answer)
    message = (await get(store, "/chatcmpl-a")).json()["choices"][0]["message"]

    assert {key: message[key] for key in ("content", "tool_calls", "function_call")} == {
        "content": None,
        "tool_calls": None,
        "function_call": None,
        **called,
    }


@pytest.mark.parametrize("stream", [False, True])
async def test_create_stores_what_it_answers(stream: bool) -> None:
    """Streamed or not; with the request's facts as it sent them."""
    store = MemoryStore()
    tool_free = {"temperature": 0.25, "top_p": 0.5, "user": "me", "metadata": {"k": "v"}, "seed": 5}
    content = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    messages = [{"role": "user", "content": content, "name": "Ann"}, {"role": "assistant", "content": "Yes."}]
    async with running(stored=StoredCompletions(store)) as live:
        answer = await live.chat(stream=stream, store=True, messages=messages, **tool_free)
        shown = (await live.client.get(f"{URL}/chatcmpl-0123456789abcdef")).json()
        said = (await live.client.get(f"{URL}/chatcmpl-0123456789abcdef/messages")).json()

    assert answer.status_code == 200
    assert "x-antiphon-ignored" not in answer.headers
    assert shown["request_id"] == answer.headers["x-request-id"]
    assert shown["metadata"] == {"k": "v"}
    assert {key: shown[key] for key in ("top_p", "temperature", "input_user")} == {
        "top_p": 0.5,
        "temperature": 0.25,
        "input_user": "me",
    }
    assert {key: shown[key] for key in ("tools", "tool_choice", "response_format")} == dict.fromkeys(
        ("tools", "tool_choice", "response_format")
    )
    assert said == {
        "object": "list",
        "data": [
            {
                "id": "chatcmpl-0123456789abcdef-0",
                "role": "user",
                "content": "one\ntwo",
                "name": "Ann",
                "content_parts": content,
            },
            {
                "id": "chatcmpl-0123456789abcdef-1",
                "role": "assistant",
                "content": "Yes.",
                "name": None,
                "content_parts": None,
            },
        ],
        "first_id": "chatcmpl-0123456789abcdef-0",
        "last_id": "chatcmpl-0123456789abcdef-1",
        "has_more": False,
    }


async def test_completion_without_store_is_not_found() -> None:
    """`metadata` alone stores nothing."""
    store = MemoryStore()
    async with running(stored=StoredCompletions(store)) as live:
        assert (await live.chat(metadata={"k": "v"}, store=False)).status_code == 200
        response = await live.client.get(f"{URL}/chatcmpl-0123456789abcdef")

    assert (response.status_code, response.json()) == (404, not_found("chatcmpl-0123456789abcdef"))


@pytest.mark.parametrize("id", ["a", "chatcmpl-b", "chatcmpl-", "chatcmpl-A", "chatcmpl-'", "chatcmpl-a b"])
async def test_unknown_id_is_not_found_by_any_route(id: str) -> None:
    """Ids are exact, and the prefix belongs to them."""
    async with running(stored=StoredCompletions(await store_of("a"))) as live:
        url = f"{URL}/{id}"
        responses = [
            await live.client.get(url),
            await live.client.post(url, json={"metadata": {}}),
            await live.client.delete(url),
            await live.client.get(f"{url}/messages"),
        ]
        responses.append(await live.client.get(URL, params={"after": id}))

    for response in responses:
        assert (response.status_code, response.json()) == (404, not_found(id))


async def test_list_is_a_page_with_its_ends() -> None:
    """And says exactly whether there is more."""
    store = await store_of("a", "b", "c")

    page = (await get(store, "", limit=2)).json()
    assert [item["id"] for item in page.pop("data")] == ["chatcmpl-a", "chatcmpl-b"]
    assert page == {"object": "list", "first_id": "chatcmpl-a", "last_id": "chatcmpl-b", "has_more": True}
    page = (await get(store, "", limit=2, after="chatcmpl-b")).json()
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("chatcmpl-c", "chatcmpl-c", False)
    page = (await get(store, "", order="desc")).json()
    assert [item["id"] for item in page["data"]] == ["chatcmpl-c", "chatcmpl-b", "chatcmpl-a"]


async def test_empty_list_has_no_ends() -> None:
    """Nothing was stored."""
    response = await get(MemoryStore(), "")

    assert response.json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


async def test_list_filters_by_model_and_metadata() -> None:
    """Brackets percent-encoded or not; all pairs must match; unknown parameters are ignored."""
    store = await store_of("a", metadata={"k": "v", "[x]": "ü &"})
    await store.add(completion("b", "default", metadata={"k": "v"}, model="M"))
    queries = {
        "metadata[k]=v": ["a", "b"],
        "metadata%5Bk%5D=v&metadata%5B%5Bx%5D%5D=%C3%BC+%26": ["a"],
        "metadata[k]=w": [],
        "metadata[k]=v&metadata[k]=w": [],
        "model=M&color=red": ["b"],
        "model=": [],
    }
    async with running(stored=StoredCompletions(store)) as live:
        for query, expected in queries.items():
            page = (await live.client.get(f"http://127.0.0.1:{live.port}{URL}?{query}")).json()
            assert [item["id"].removeprefix("chatcmpl-") for item in page["data"]] == expected


@pytest.mark.parametrize("path", ["", "/chatcmpl-a/messages"])
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"limit": "0"}, (400, "integer_below_min_value", "limit")),
        ({"limit": "-1"}, (400, "integer_below_min_value", "limit")),
        ({"limit": "101"}, (400, "integer_above_max_value", "limit")),
        ({"limit": "ten"}, (400, "invalid_type", "limit")),
        ({"limit": "1.5"}, (400, "invalid_type", "limit")),
        ({"limit": ""}, (400, "invalid_type", "limit")),
        ({"limit": "9" * 5000}, (400, "invalid_type", "limit")),
        ({"limit": "٣"}, (400, "invalid_type", "limit")),
        ({"order": "up"}, (400, "invalid_value", "order")),
        ({"after": "x"}, (404, None, None)),
    ],
)
async def test_wrong_query_is_told(
    path: str, query: dict[str, str], told: tuple[int, str | None, str | None]
) -> None:
    """With the parameter's name."""
    assert error_of(await get(await store_of("a"), path, **query)) == told


async def test_wrong_metadata_filter_is_told() -> None:
    """The bounds are those of metadata itself."""
    store = MemoryStore()
    many = {f"metadata[{place}]": "v" for place in range(17)}

    assert error_of(await get(store, "", **many)) == (400, "array_above_max_length", "metadata")
    long = {f"metadata[{'k' * 65}]": "v"}
    assert error_of(await get(store, "", **long)) == (400, "string_above_max_length", "metadata")


async def test_update_replaces_and_clears_metadata() -> None:
    """The answer is the completion as it is now."""
    async with running(stored=StoredCompletions(await store_of("a", metadata={"k": "v"}))) as live:
        url = f"{URL}/chatcmpl-a"
        replaced = await live.client.post(url, json={"metadata": {"l": "w"}})
        shown = await live.client.get(url)
        cleared = await live.client.post(url, json={"metadata": None})

    assert replaced.json() == shown.json() == {**STORED, "metadata": {"l": "w"}}
    assert cleared.json() == STORED


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, (400, "missing_required_parameter", "metadata")),
        ({"metadata": "x"}, (400, "invalid_type", "metadata")),
        ({"metadata": {"k": 1}}, (400, "invalid_type", "metadata.k")),
        ({"metadata": {"k": "v" * 513}}, (400, "string_above_max_length", "metadata.k")),
    ],
)
async def test_wrong_update_is_told(body: object, told: tuple[int, str, str]) -> None:
    """And changes nothing."""
    async with running(stored=StoredCompletions(await store_of("a"))) as live:
        response = await live.client.post(f"{URL}/chatcmpl-a", json=body)
        shown = await live.client.get(f"{URL}/chatcmpl-a")

    assert error_of(response) == told
    assert shown.json() == STORED


async def test_update_that_is_no_object_is_told() -> None:
    """Like any other body of another type."""
    async with running(stored=StoredCompletions(await store_of("a"))) as live:
        response = await live.client.post(f"{URL}/chatcmpl-a", json=[])

    assert error_of(response)[:2] == (400, "invalid_type")


async def test_deleted_completion_is_gone() -> None:
    """The first deletion says so, the second finds nothing."""
    async with running(stored=StoredCompletions(await store_of("a"))) as live:
        first = await live.client.delete(f"{URL}/chatcmpl-a")
        second = await live.client.delete(f"{URL}/chatcmpl-a")

    assert first.json() == {"object": "chat.completion.deleted", "id": "chatcmpl-a", "deleted": True}
    assert (second.status_code, second.json()) == (404, not_found("chatcmpl-a"))


async def test_messages_are_paged() -> None:
    """Their order is that of the request."""
    messages = [{"role": "user", "content": str(place)} for place in range(3)]
    store = await store_of("a", keeping=replace(keeping("default"), messages=messages))

    page = (await get(store, "/chatcmpl-a/messages", limit=2)).json()
    assert ([item["content"] for item in page["data"]], page["has_more"]) == (["0", "1"], True)
    page = (await get(store, "/chatcmpl-a/messages", limit=2, after="chatcmpl-a-1")).json()
    assert ([item["content"] for item in page["data"]], page["has_more"]) == (["2"], False)
    page = (await get(store, "/chatcmpl-a/messages", order="desc", after="chatcmpl-a-2")).json()
    assert [item["content"] for item in page["data"]] == ["1", "0"]
    response = await get(store, "/chatcmpl-a/messages", after="chatcmpl-a-3")
    assert response.json() == not_found("chatcmpl-a-3", "Message")


async def test_key_sees_only_what_it_stored() -> None:
    """Another key's completion is like none, to the byte; so is one that was deleted."""
    store = MemoryStore()
    mine, theirs = ({"Authorization": f"Bearer {key}"} for key in ("key-a", "key-b"))
    url = f"{URL}/chatcmpl-0123456789abcdef"
    async with running(
        options=ApiOptions(api_keys=frozenset({"key-a", "key-b"})), stored=StoredCompletions(store)
    ) as live:

        async def seen(headers: dict[str, str]) -> list[tuple[int, bytes]]:
            responses = [
                await live.client.get(url, headers=headers),
                await live.client.get(f"{url}/messages", headers=headers),
                await live.client.post(url, headers=headers, json={"metadata": {"k": "w"}}),
                await live.client.delete(url, headers=headers),
                await live.client.get(URL, headers=headers, params={"after": url[-25:]}),
                await live.client.get(URL, headers=headers),
            ]
            return [(response.status_code, response.content) for response in responses]

        never = await seen(theirs)
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "store": True}
        assert (await live.client.post(URL, headers=mine, json=body)).status_code == 200
        while_stored = await seen(theirs)
        own = await live.client.get(url, headers=mine)
        await live.client.delete(url, headers=mine)
        after_deletion = await seen(theirs)

    assert never == while_stored == after_deletion
    assert [status for status, _ in never] == [404, 404, 404, 404, 404, 200]
    assert own.status_code == 200


async def test_store_that_is_down_is_told_before_the_answer_begins() -> None:
    """Nothing is generated; without `store` nobody notices."""
    completions = ScriptedCompletions()
    stored = StoredCompletions(FailingStore(check=True))
    async with running(completions, stored=stored) as live:
        responses = [await live.chat(store=True, stream=stream) for stream in (False, True)]
        assert completions.requests == []
        assert (await live.chat()).status_code == 200

    for response in responses:
        assert (response.status_code, response.json()["error"]["type"]) == (503, "service_unavailable_error")
        assert response.headers["retry-after"] == "2"


async def test_answer_that_cannot_be_stored_is_an_error() -> None:
    """Whole: instead of the answer. Streamed: instead of its end."""
    async with running(stored=StoredCompletions(FailingStore(add=True))) as live:
        whole = await live.chat(store=True)
        streamed = await live.chat(store=True, stream=True)

    assert whole.status_code == 503
    assert streamed.status_code == 200
    assert "[DONE]" not in streamed.text
    assert streamed.text.splitlines()[-2] == f"data: {whole.text}"


async def test_routes_are_not_there_without_a_store() -> None:
    """And a request that wants to be stored is told in a header that it was not."""
    async with running() as live:
        response = await live.chat(store=True)
        listing = await live.client.get(URL)
        one = await live.client.get(f"{URL}/chatcmpl-a")

    assert response.headers["x-antiphon-ignored"] == "store"
    assert (listing.status_code, one.status_code) == (405, 404)


async def test_choices_and_other_events_come_back() -> None:
    """All choices, with their own ends."""
    answer = (
        TextDelta(0, "a"),
        ChoiceEnded(0, "length"),
        TextDelta(1, "b"),
        ChoiceEnded(1, "stop"),
        Completed(Usage(1, 2)),
    )
    shown = (await get(await store_of("a", choices=2, answer=answer), "/chatcmpl-a")).json()

    assert [(choice["message"]["content"], choice["finish_reason"]) for choice in shown["choices"]] == [
        ("a", "length"),
        ("b", "stop"),
    ]
