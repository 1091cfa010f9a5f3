"""`/v1/responses` over the fake engine: requests, conversations, and what is stored."""

import json
import re
from typing import Any

import pytest
from openai.types.responses import Response

from antiphon.engine.backends.fake import FakeChatTemplate, FakeEngine, FakeTokenizer, say
from antiphon.service.generations import ModelParts
from tests.unit.api.fake_server import FakeServer, fake_server

PATH = "/v1/responses"
ASK: dict[str, Any] = {"model": "fake", "input": "Hi", "seed": 7, "max_output_tokens": 12}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
CUSTOM = {"type": "custom", "name": "sql"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "ok"}
USER = {"role": "user", "content": "Hi"}


def text_of(response: Any) -> str:
    """The text of the first item."""
    return str(response["output"][0]["content"][0]["text"])


def events_of(stream: str) -> list[Any]:
    """The events of a stream, each of which has its type for a name."""
    frames = [frame.split("\n") for frame in stream.removesuffix("\n\n").split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name for name, _ in frames] == [f"event: {event['type']}" for event in events]
    return events


async def conversation_of(server: FakeServer, body: dict[str, Any]) -> int:
    """How many tokens the model was shown."""
    return int((await server.post(PATH, ASK | body))["usage"]["input_tokens"])


async def test_answer_is_what_the_sdk_s_model_describes() -> None:
    """Validated strictly, key by key."""
    async with fake_server() as server:
        answer = await server.post(PATH, ASK | {"tools": [TOOL | {"strict": True}], "tool_choice": "none"})

    response = Response.model_validate(answer)
    assert response.status == "incomplete"
    assert response.output_text == text_of(answer)
    assert (answer["store"], answer["truncation"], answer["background"]) == (True, "disabled", False)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [TOOL], "tool_choice": "required", "max_output_tokens": 200},
        {"tools": [CUSTOM], "tool_choice": {"type": "custom", "name": "sql"}, "max_output_tokens": 200},
    ],
)
async def test_last_event_of_a_stream_holds_the_whole_answer(fields: dict[str, Any]) -> None:
    """Apart from ids and times."""
    async with fake_server() as server:
        whole = await server.post(PATH, ASK | fields)
        events = await server.events(PATH, ASK | fields)

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    last = events[-1]["response"]
    for response in (whole, last):
        for item in response["output"]:
            del item["id"]
            item.pop("call_id", None)
    assert (last["output"], last["usage"], last["status"]) == (
        whole["output"],
        whole["usage"],
        whole["status"],
    )


async def test_items_are_the_conversation_that_chat_has() -> None:
    """Instructions are a system message; calls and outputs are theirs."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi\nthere"},
        {
            "role": "assistant",
            "content": "So:",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    ]
    parts = [{"type": "input_text", "text": "Hi"}, {"type": "input_text", "text": "there"}]
    said = [{"type": "output_text", "text": "So:", "annotations": []}]
    items = [
        {"role": "user", "content": parts},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": said, "id": "msg_1", "status": "completed"},
        CALL,
        OUTPUT,
    ]
    async with fake_server() as server:
        chat = await server.post(
            "/v1/chat/completions", {"model": "fake", "messages": messages, "seed": 7, "max_tokens": 12}
        )
        response = await server.post(PATH, ASK | {"input": items, "instructions": "Be brief."})

    assert text_of(response) == chat["choices"][0]["message"]["content"]
    assert response["usage"]["input_tokens"] == chat["usage"]["prompt_tokens"]


LONG: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "a" * 4120},
    CALL,
    OUTPUT,
    {"role": "assistant", "content": "b" * 4000},
    {"role": "user", "content": "And now?"},
]


@pytest.mark.parametrize(
    ("room", "left"),
    [(12, LONG[:1] + LONG[2:]), (4090, LONG[:1] + LONG[4:]), (None, LONG[:1] + LONG[2:])],
)
async def test_oldest_items_are_left_out_where_that_is_asked_for(room: int | None, left: list[Any]) -> None:
    """As few as it takes, outputs with their calls; what is stored and goes on behind it is whole."""
    async with fake_server() as server:
        ask = {"model": "fake", "input": LONG, "truncation": "auto", "max_output_tokens": room}
        shown = await conversation_of(server, ask)
        expected = await conversation_of(server, {"input": left})
        counted = (await server.post(f"{PATH}/input_tokens", ask))["input_tokens"]
        answered = await server.post(PATH, ask)
        listed = (await server.client.get(f"{PATH}/{answered['id']}/input_items?order=asc")).json()["data"]
        behind = {"previous_response_id": answered["id"], "truncation": "auto"}
        after = await conversation_of(server, behind)

    assert (shown, counted) == (expected, expected)
    assert answered["truncation"] == "auto"
    assert len(listed) == len(LONG)
    assert after < 8192


async def test_what_fits_is_left_as_it_is() -> None:
    """Though it leaves no room for all that may be said."""
    async with fake_server() as server:
        ask = {"input": "a" * 8000, "max_output_tokens": 1000}
        assert await conversation_of(server, ask | {"truncation": "auto"}) == await conversation_of(
            server, ask
        )


@pytest.mark.parametrize(
    "more", [{}, {"tools": [CUSTOM], "tool_choice": "required", "max_output_tokens": 200}]
)
async def test_a_stored_response_is_retrieved_as_a_stream(more: dict[str, Any]) -> None:
    """Numbered from 0, always the same; it ends as the response did, and can be begun in its midst."""
    async with fake_server() as server:
        answered = await server.post(PATH, ASK | more)
        url = f"{PATH}/{answered['id']}?stream=true"
        first = await server.client.get(url)
        whole, again = events_of(first.text), events_of((await server.client.get(url)).text)
        rest = events_of((await server.client.get(f"{url}&starting_after=2")).text)
        padded = events_of((await server.client.get(f"{url}&include_obfuscation=true")).text)

    assert first.headers["content-type"].startswith("text/event-stream")
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert [event["type"] for event in whole][:2] == ["response.created", "response.in_progress"]
    assert whole[-1]["response"] == answered
    assert (again, rest) == (whole, whole[3:])
    assert [event["type"] for event in padded] == [event["type"] for event in whole]
    assert any("obfuscation" in event for event in padded)
    assert not any("obfuscation" in event for event in whole)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("stream=yes", "stream"),
        ("stream=true&include_obfuscation=1", "include_obfuscation"),
        ("stream=true&starting_after=-1", "starting_after"),
        ("stream=true&starting_after=x", "starting_after"),
        ("stream=true&starting_after=1000", "starting_after"),
    ],
)
async def test_what_cannot_be_streamed_of_a_stored_response_is_refused(query: str, param: str) -> None:
    """By name: nobody waits for events that do not come."""
    async with fake_server() as server:
        answered = await server.post(PATH, ASK)
        refused = await server.client.get(f"{PATH}/{answered['id']}?{query}")

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


async def test_a_stored_response_is_retrieved_listed_and_forgotten() -> None:
    """As it was answered; the items newest first."""
    async with fake_server() as server:
        answer = await server.post(PATH, ASK | {"metadata": {"k": "v"}, "input": [USER, CALL, OUTPUT]})
        one = f"{PATH}/{answer['id']}"
        kept = (await server.client.get(one)).json()
        listed = (await server.client.get(f"{one}/input_items")).json()
        page = (await server.client.get(f"{one}/input_items?order=asc&limit=1")).json()
        after = f"{one}/input_items?order=asc&after={page['last_id']}"
        rest = (await server.client.get(after)).json()
        deleted = (await server.client.delete(one)).json()
        gone = await server.client.get(one)

    assert kept == answer
    assert [item["type"] for item in listed["data"]] == ["function_call_output", "function_call", "message"]
    assert (page["has_more"], len(page["data"]), len(rest["data"])) == (True, 1, 2)
    assert deleted == {"id": answer["id"], "object": "response", "deleted": True}
    assert (gone.status_code, gone.json()["error"]["message"]) == (
        404,
        f"Response with id '{answer['id']}' not found.",
    )


async def test_stored_responses_and_stored_completions_never_meet() -> None:
    """In no list and under no id."""
    async with fake_server() as server:
        answer = await server.post(PATH, ASK)
        chat = {"model": "fake", "messages": [USER], "store": True}
        completion = await server.post("/v1/chat/completions", chat)
        listed = (await server.client.get("/v1/chat/completions")).json()
        bare, other = answer["id"][5:], completion["id"][9:]
        missed = await server.client.get(f"/v1/chat/completions/chatcmpl-{bare}")
        missed_too = await server.client.get(f"{PATH}/resp_{other}")

    assert [found["id"] for found in listed["data"]] == [completion["id"]]
    assert (missed.status_code, missed_too.status_code) == (404, 404)


async def test_a_response_goes_on_behind_another() -> None:
    """With all that came before and none of the instructions, whatever is deleted meanwhile."""
    async with fake_server() as server:
        first = await server.post(PATH, ASK | {"instructions": "Be brief."})
        second = await server.post(PATH, ASK | {"previous_response_id": first["id"], "input": "More"})
        await server.client.delete(f"{PATH}/{first['id']}")
        third = await server.post(PATH, ASK | {"previous_response_id": second["id"], "input": "Yet more"})
        said = [
            USER,
            {"role": "assistant", "content": text_of(first)},
            {"role": "user", "content": "More"},
            {"role": "assistant", "content": text_of(second)},
            {"role": "user", "content": "Yet more"},
        ]
        same = await server.post(PATH, ASK | {"input": said})

    assert third["previous_response_id"] == second["id"]
    assert text_of(third) == text_of(same)
    assert third["usage"]["input_tokens"] == same["usage"]["input_tokens"]


async def test_items_of_stored_responses_can_be_referred_to() -> None:
    """As SDKs do that count on the store."""
    async with fake_server() as server:
        first = await server.post(PATH, ASK)
        item = first["output"][0]
        reference = {"type": "item_reference", "id": item["id"]}
        by_id = await conversation_of(server, {"input": [USER, reference, USER]})
        by_value = await conversation_of(server, {"input": [USER, item, USER]})
        lost = await server.refusal(PATH, ASK | {"input": [reference | {"id": "msg_0"}]})

    assert by_id == by_value
    assert lost == ("input", None)


async def test_nobody_goes_on_behind_another_s_response() -> None:
    """A project's responses are its own."""
    async with fake_server(api_key=("one", "two")) as server:
        server.client.headers["authorization"] = "Bearer one"
        first = await server.post(PATH, ASK)
        server.client.headers["authorization"] = "Bearer two"
        refused = await server.refusal(PATH, ASK | {"previous_response_id": first["id"]})
        missed = await server.client.get(f"{PATH}/{first['id']}")

    assert refused == ("previous_response_id", "previous_response_not_found")
    assert missed.status_code == 404


@pytest.mark.parametrize(
    ("stored", "wish", "told"), [(True, False, None), (False, True, "store"), (False, None, None)]
)
async def test_what_is_not_stored_is_not_found(stored: bool, wish: bool | None, told: str | None) -> None:
    """And who asked for it in vain is told."""
    async with fake_server(store=stored) as server:
        response = await server.client.post(PATH, json=ASK | {"store": wish})
        answer = response.json()
        missed = await server.client.get(f"{PATH}/{answer['id']}")

    assert answer["store"] is False
    assert response.headers.get("x-antiphon-ignored") == told
    assert missed.status_code == 404


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"input": None}, ("input", "missing_required_parameter")),
        ({"input": []}, ("input", "empty_array")),
        ({"input": [{"role": "wizard", "content": ""}]}, ("input[0].role", "invalid_value")),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            ("input[0].content[0].type", "invalid_value"),
        ),
        ({"input": [{"type": "computer_call"}]}, ("input[0].type", "invalid_value")),
        ({"input": [CALL]}, ("input", None)),
        ({"input": [OUTPUT]}, ("input", None)),
        ({"input": "a" * 9000}, ("input", "context_length_exceeded")),
        ({"previous_response_id": "resp_0"}, ("previous_response_id", "previous_response_not_found")),
        ({"previous_response_id": "x"}, ("previous_response_id", "previous_response_not_found")),
        ({"max_output_tokens": 0}, ("max_output_tokens", "integer_below_min_value")),
        ({"top_logprobs": 21}, ("top_logprobs", "integer_above_max_value")),
        ({"include": ["everything"]}, ("include[0]", "invalid_value")),
        ({"truncation": "some"}, ("truncation", "invalid_value")),
        ({"truncation": "auto", "input": "a" * 9000}, ("input", "context_length_exceeded")),
        ({"tools": [{"type": "function"}]}, ("tools[0].name", "missing_required_parameter")),
        ({"tool_choice": "required"}, ("tool_choice", None)),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "g"}}, ("tool_choice", None)),
        ({"text": {"format": {"type": "xml"}}}, ("text.format.type", "invalid_value")),
        (
            {"text": {"format": {"type": "json_schema", "schema": {}}}},
            ("text.format.name", "missing_required_parameter"),
        ),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "strict": True, "schema": {"not": {}}}}},
            ("text.format.schema", "invalid_json_schema"),
        ),
        (
            {"tools": [TOOL | {"strict": True, "parameters": {"type": "object", "not": {}}}]},
            ("tools[0].parameters", "invalid_function_parameters"),
        ),
        (
            {"tools": [CUSTOM | {"format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}}]},
            ("tools[0].format.definition", "invalid_value"),
        ),
        ({"tools": [CUSTOM, TOOL | {"name": "sql"}]}, ("tools[0].name", "invalid_value")),
        ({"reasoning": {"mode": "pro"}}, ("reasoning.mode", "unsupported_parameter")),
        ({"reasoning": {"summary": "long"}}, ("reasoning.summary", "invalid_value")),
        (
            {"prompt_cache_options": {"prewarm": True}},
            ("prompt_cache_options.prewarm", "unsupported_parameter"),
        ),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    fields: dict[str, Any], refused: tuple[str, str | None]
) -> None:
    """In the names of this API."""
    async with fake_server() as server:
        assert await server.refusal(PATH, ASK | fields) == refused


async def test_strict_fields_refuses_what_nobody_knows() -> None:
    """And without it the answer names it."""
    async with fake_server() as server:
        response = await server.client.post(PATH, json=ASK | {"temprature": 1})
    async with fake_server(strict_fields=True) as server:
        refused = await server.refusal(PATH, ASK | {"temprature": 1})

    assert response.headers["x-antiphon-ignored"] == "temprature"
    assert refused == ("temprature", "unknown_parameter")


async def test_events_are_named_as_their_types() -> None:
    """Clients listen for either."""
    async with fake_server() as server:
        response = await server.client.post(PATH, json=ASK | {"stream": True})

    blocks = response.text.strip().split("\n\n")
    names = [block.splitlines()[0].removeprefix("event: ") for block in blocks]
    assert names[0] == "response.created"
    assert names[-1] == "response.incomplete"
    assert all(f'"type":"{name}"' in block for name, block in zip(names, blocks, strict=True))


async def test_a_custom_tool_is_called_and_its_output_answered() -> None:
    """Its input is in the language of its grammar; the items come back as they were given."""
    grammar = {"type": "grammar", "syntax": "regex", "definition": "[0-9]{3}"}
    asked = ASK | {"tools": [CUSTOM | {"format": grammar}], "max_output_tokens": 200}
    async with fake_server() as server:
        first = await server.post(PATH, asked | {"tool_choice": {"type": "custom", "name": "sql"}})
        (call,) = first["output"]
        output = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "ok"}
        asked |= {"tool_choice": "none"}
        replayed = await server.post(PATH, asked | {"input": [USER, call, output]})
        continued = await server.post(PATH, asked | {"input": [output], "previous_response_id": first["id"]})
        referred = {"type": "item_reference", "id": call["id"]}
        by_id = await server.post(PATH, asked | {"input": [USER, referred, output]})
        listed = (await server.client.get(f"{PATH}/{continued['id']}/input_items?order=asc")).json()

    assert (call["type"], call["name"]) == ("custom_tool_call", "sql")
    assert re.fullmatch("[0-9]{3}", call["input"])
    assert text_of(replayed) == text_of(continued) == text_of(by_id)
    kinds = [item["type"] for item in listed["data"]]
    assert kinds == ["message", "custom_tool_call", "custom_tool_call_output"]
    assert all(item["id"] and item["status"] == "completed" for item in listed["data"])
    assert first["tools"] == [CUSTOM | {"description": None, "format": grammar}]


@pytest.mark.parametrize(
    ("choice", "kinds"),
    [
        ("none", {"message"}),
        ("required", {"custom_tool_call", "function_call"}),
        ({"type": "function", "name": "f"}, {"function_call"}),
        ({"type": "custom", "name": "sql"}, {"custom_tool_call"}),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "sql"}]},
            {"custom_tool_call"},
        ),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            {"function_call"},
        ),
    ],
)
async def test_choice_among_tools_is_kept(choice: Any, kinds: set[str]) -> None:
    """Whichever way it is made, and repeated in the response."""
    asked = ASK | {"tools": [TOOL, CUSTOM], "tool_choice": choice, "parallel_tool_calls": False}
    async with fake_server() as server:
        answers = [
            await server.post(PATH, asked | {"seed": seed, "max_output_tokens": 300}) for seed in range(3)
        ]

    assert {item["type"] for answer in answers for item in answer["output"]} <= kinds
    assert all(len(answer["output"]) == 1 for answer in answers)
    assert {(str(answer["tool_choice"]), answer["parallel_tool_calls"]) for answer in answers} == {
        (str(choice), False)
    }


async def test_thoughts_are_told_kept_and_replayed() -> None:
    """Whole as streamed; counted; encoded where that is asked for, afterwards too."""
    template = FakeChatTemplate(("<think>", "</think>"), opens_block=True)
    parts = ModelParts(FakeEngine(lambda *_: say("Hm.", "</think>", "Hello")), FakeTokenizer(), template)
    asked = ASK | {"max_output_tokens": 100}
    async with fake_server(parts=parts) as server:
        whole = await server.post(PATH, asked)
        events = await server.events(PATH, asked | {"include": ["reasoning.encrypted_content"]})
        one = f"{PATH}/{whole['id']}"
        kept = (await server.client.get(one)).json()
        encoded = (await server.client.get(f"{one}?include[]=reasoning.encrypted_content")).json()
        wrong = await server.client.get(f"{one}?include=everything")
        second = await server.post(PATH, asked | {"previous_response_id": whole["id"], "input": "More"})
        listed = (await server.client.get(f"{PATH}/{second['id']}/input_items?order=asc")).json()

    thought, said = whole["output"]
    streamed = events[-1]["response"]["output"][0]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert said["content"][0]["text"] == "Hello"
    assert whole["usage"]["output_tokens_details"]["reasoning_tokens"] == len("Hm.</think>")
    assert streamed["content"] == thought["content"]
    assert "encrypted_content" not in thought
    assert streamed["encrypted_content"] == encoded["output"][0]["encrypted_content"]
    assert kept == whole
    assert wrong.json()["error"]["param"] == "include[0]"
    assert [item["type"] for item in listed["data"]] == ["message", "reasoning", "message", "message"]


async def test_input_is_counted_without_an_answer() -> None:
    """As it is charged: with instructions, tools and what came before; the model may be left out."""
    asked = {"instructions": "Be brief.", "tools": [TOOL, CUSTOM], "tool_choice": "none"}
    async with fake_server() as server:
        first = await server.post(PATH, ASK)
        asked |= {"previous_response_id": first["id"], "input": "More"}
        answer = await server.post(PATH, ASK | asked)
        counted = await server.post(f"{PATH}/input_tokens", asked | {"model": None})
        refused = await server.refusal(f"{PATH}/input_tokens", asked | {"tools": [{"type": "computer"}]})

    assert counted == {"object": "response.input_tokens", "input_tokens": answer["usage"]["input_tokens"]}
    assert refused == ("tools[0].type", "unsupported_parameter")


async def test_what_has_ended_cannot_be_cancelled() -> None:
    """As with OpenAI, where only responses in the background can."""
    async with fake_server() as server:
        answer = await server.post(PATH, ASK)
        refused = await server.post(f"{PATH}/{answer['id']}/cancel", {}, status=400)
        missed = await server.client.post(f"{PATH}/resp_0/cancel")

    assert refused["error"]["message"] == "Cannot cancel a synchronous response."
    assert missed.status_code == 404
