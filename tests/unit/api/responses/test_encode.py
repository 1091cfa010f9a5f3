"""The events of a response, in their order, and the response that they add up to."""

from dataclasses import replace
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from antiphon.api.responses.encode import ResponseEncoder, ResponseHead
from antiphon.api.responses.thoughts import encoded
from antiphon.core.events import (
    AnswerEvent,
    ChoiceEnded,
    Completed,
    ReasoningDelta,
    ScoredToken,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)

HEAD = ResponseHead("ab", 1700000000, "m", {"tools": []}, {"k": "v"})
USAGE = Completed(Usage(prompt_tokens=9, completion_tokens=2, cached_tokens=4))
TEXT: tuple[AnswerEvent, ...] = (TextDelta(0, "Hel"), TextDelta(0, "lo"), ChoiceEnded(0, "stop"), USAGE)
CALLS: tuple[AnswerEvent, ...] = (
    TextDelta(0, "So: "),
    ToolCallStarted(0, 0, "a1", "f"),
    ToolArgumentsDelta(0, 0, '{"x":'),
    ToolArgumentsDelta(0, 0, "1}"),
    ToolCallStarted(0, 1, "b2", "g"),
    ToolArgumentsDelta(0, 1, "{}"),
    ChoiceEnded(0, "tool_calls"),
    USAGE,
)
CUSTOM: tuple[AnswerEvent, ...] = (
    ToolCallStarted(0, 0, "a1", "sql", custom=True),
    ToolArgumentsDelta(0, 0, "SELECT "),
    ToolArgumentsDelta(0, 0, "1"),
    ToolCallStarted(0, 1, "b2", "g"),
    ToolArgumentsDelta(0, 1, "{}"),
    ChoiceEnded(0, "tool_calls"),
    USAGE,
)
CUT: tuple[AnswerEvent, ...] = (*CALLS[:6], ChoiceEnded(0, "length"), USAGE)
THOUGHT: tuple[AnswerEvent, ...] = (ReasoningDelta(0, "Hm"), ReasoningDelta(0, "m."), *TEXT)


def told(events: tuple[AnswerEvent, ...], head: ResponseHead = HEAD) -> list[dict[str, Any]]:
    """Everything that a stream tells."""
    encoder = ResponseEncoder(head)
    return [*encoder.opening(), *(out for event in events for out in encoder.push(event))]


def test_text_is_told_in_this_order() -> None:
    """Every member of every event, but the wrapped responses."""
    events = told(TEXT)
    ids = {"item_id": "msg_ab0", "output_index": 0}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello"}
    item = {"id": "msg_ab0", "type": "message", "status": "completed", "content": [part], "role": "assistant"}

    assert [event.pop("sequence_number") for event in events] == list(range(10))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[2:9] == [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **ids, "content_index": 0, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", **ids, "content_index": 0, "delta": "Hel", "logprobs": []},
        {"type": "response.output_text.delta", **ids, "content_index": 0, "delta": "lo", "logprobs": []},
        {"type": "response.output_text.done", **ids, "content_index": 0, "text": "Hello", "logprobs": []},
        {"type": "response.content_part.done", **ids, "content_index": 0, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]
    assert events[9]["type"] == "response.completed"
    assert events[9]["response"]["output"] == [item]


def test_calls_follow_text_as_items_of_their_own() -> None:
    """One is done before the next is added."""
    events = told(CALLS)
    rest = [event for event in events if event["type"].startswith("response.function_call")]
    output = events[-1]["response"]["output"]

    assert [(item["type"], item["id"], item["status"]) for item in output] == [
        ("message", "msg_ab0", "completed"),
        ("function_call", "fc_ab1", "completed"),
        ("function_call", "fc_ab2", "completed"),
    ]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output[1:]] == [
        ("call_a1", "f", '{"x":1}'),
        ("call_b2", "g", "{}"),
    ]
    assert [(event["type"].rsplit(".", 1)[1], event["item_id"]) for event in rest] == [
        ("delta", "fc_ab1"),
        ("delta", "fc_ab1"),
        ("done", "fc_ab1"),
        ("delta", "fc_ab2"),
        ("done", "fc_ab2"),
    ]
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    assert added == [0, 1, 2]


def test_custom_calls_are_told_by_their_input() -> None:
    """In events and items of their own kind."""
    events = told(CUSTOM)
    ids = {"item_id": "ctc_ab0", "output_index": 0}
    item = {"id": "ctc_ab0", "type": "custom_tool_call", "status": "completed", "input": "SELECT 1"}
    item |= {"call_id": "call_a1", "name": "sql"}
    numbered = [event.pop("sequence_number") for event in events]

    assert numbered == list(range(len(events)))
    assert events[2:7] == [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "input": ""},
        },
        {"type": "response.custom_tool_call_input.delta", **ids, "delta": "SELECT "},
        {"type": "response.custom_tool_call_input.delta", **ids, "delta": "1"},
        {"type": "response.custom_tool_call_input.done", **ids, "input": "SELECT 1"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]
    assert [each["type"] for each in events[-1]["response"]["output"]] == [
        "custom_tool_call",
        "function_call",
    ]


def test_thoughts_are_an_item_before_what_is_said() -> None:
    """Told as they are, without a summary."""
    events = told(THOUGHT)
    ids = {"item_id": "rs_ab0", "output_index": 0, "content_index": 0}
    part = {"type": "reasoning_text", "text": "Hmm."}
    item = {"id": "rs_ab0", "type": "reasoning", "status": "completed", "summary": [], "content": [part]}
    for event in events:
        del event["sequence_number"]

    assert events[2:9] == [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **ids, "part": {**part, "text": ""}},
        {"type": "response.reasoning_text.delta", **ids, "delta": "Hm"},
        {"type": "response.reasoning_text.delta", **ids, "delta": "m."},
        {"type": "response.reasoning_text.done", **ids, "text": "Hmm."},
        {"type": "response.content_part.done", **ids, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]
    output = events[-1]["response"]["output"]
    assert [each["id"] for each in output] == ["rs_ab0", "msg_ab1"]
    assert output[1]["content"][0]["text"] == "Hello"


def test_thoughts_are_encoded_on_request() -> None:
    """Once they are complete."""
    events = told(THOUGHT, replace(HEAD, encoded=True))
    items = [event["item"] for event in events if "item" in event and event["item"]["type"] == "reasoning"]

    assert [item.get("encrypted_content") for item in items] == [None, encoded("Hmm.")]


def test_whoever_was_cut_while_thinking_said_nothing() -> None:
    """There is no message then; whoever thought to the end has one."""
    cut = told((ReasoningDelta(0, "Hm"), ChoiceEnded(0, "length"), USAGE))[-1]["response"]
    silent = told((ReasoningDelta(0, "Hm"), ChoiceEnded(0, "stop"), USAGE))[-1]["response"]

    assert [(item["type"], item["status"]) for item in cut["output"]] == [("reasoning", "incomplete")]
    assert [(item["type"], item["status"]) for item in silent["output"]] == [
        ("reasoning", "completed"),
        ("message", "completed"),
    ]


FACTS = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}


@pytest.mark.parametrize("events", [TEXT, CALLS, CUSTOM, THOUGHT, CUT])
def test_every_event_is_one_that_the_sdk_knows(events: tuple[AnswerEvent, ...]) -> None:
    """Validated strictly: no key is missing and none unheard of, but one that earlier SDKs had."""
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for event in told(events, replace(HEAD, facts=FACTS)):
        known = adapter.validate_python(event)
        assert known.type == event["type"]
        assert set(known.model_extra) <= {"name"}
        if "item" in event:
            assert known.item.type == event["item"]["type"]
        if "response" in event:
            assert Response.model_validate(event["response"]).status == event["response"]["status"]


def test_a_budget_cuts_the_last_item_short() -> None:
    """The response and that item are incomplete."""
    events = told(CUT)
    response = events[-1]["response"]

    assert events[-1]["type"] == "response.incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in response["output"]] == ["completed", "completed", "incomplete"]


def test_an_answer_without_a_word_is_an_empty_message() -> None:
    """Clients look for one."""
    (item,) = told((ChoiceEnded(0, "stop"), USAGE))[-1]["response"]["output"]

    assert item["content"][0]["text"] == ""


def test_usage_and_request_are_repeated() -> None:
    """In the words of this API."""
    response = told(TEXT)[-1]["response"]

    assert response["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 11,
    }
    assert (response["id"], response["metadata"], response["tools"]) == ("resp_ab", {"k": "v"}, [])
    assert response["created_at"] == 1700000000


def test_failure_is_the_last_event() -> None:
    """With what was said so far left open."""
    encoder = ResponseEncoder(HEAD)
    encoder.push(TextDelta(0, "Hel"))
    (event,) = encoder.fail("server_error", "Sorry.")

    assert event["type"] == "response.failed"
    assert event["response"]["status"] == "failed"
    assert event["response"]["error"] == {"code": "server_error", "message": "Sorry."}


def test_logprobs_are_told_with_their_text_and_again_at_the_end() -> None:
    """Bytes are a list even where there are none."""
    scored = TextDelta(0, "a", (ScoredToken("a", b"a", -1.0), ScoredToken("<end>", b"", -2.0)))
    events = told((scored, ChoiceEnded(0, "stop"), USAGE))
    expected = [
        {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []},
        {"token": "<end>", "logprob": -2.0, "bytes": [], "top_logprobs": []},
    ]

    assert events[4]["logprobs"] == expected
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == expected


@pytest.mark.parametrize("events", [TEXT, CALLS, CUSTOM, THOUGHT])
def test_deltas_are_padded_to_few_sizes_on_request(events: tuple[AnswerEvent, ...]) -> None:
    """Only they: the others show the text anyway."""
    encoder = ResponseEncoder(HEAD, lambda length: "x" * length)
    out = [told for event in events for told in encoder.push(event)]

    assert {event["type"].rsplit(".", 1)[1] for event in out if "obfuscation" in event} == {"delta"}
    assert all("obfuscation" in event for event in out if event["type"].endswith("delta"))
