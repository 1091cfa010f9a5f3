"""A stream put together is the whole answer: for every kind of answer, by both of OpenAI's clients."""

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.live.client_runs import ROOT, environment
from tests.live.scripted_model import scripted_server
from tests.live.server_process import ServerProcess

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

NODE_IS_MISSING = not (ROOT / "tests/js/node_modules").is_dir() and not os.environ.get("CI")

MODEL: dict[str, Any] = {"model": "gpt-4o-mini"}
SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["é", "b"]}, "sure": {"type": "boolean"}},
    "required": ["kind", "sure"],
    "additionalProperties": False,
}
FUNCTION = {"name": "f", "parameters": SCHEMA}
CUSTOM = {"type": "custom", "custom": {"name": "sql"}}
GRAMMAR = {"type": "grammar", "syntax": "regex", "definition": "[0-9]{1,9}é"}
TOOLS: dict[str, Any] = {"tools": [{"type": "function", "function": FUNCTION}], "max_tokens": 400}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
FLAT_TOOLS: dict[str, Any] = {"tools": [{"type": "function", **FUNCTION}, {"type": "custom", "name": "sql"}]}

CHAT: dict[str, dict[str, Any]] = {
    "text": {},
    "several choices": {"n": 3},
    "cut": {"max_tokens": 5},
    "stop": {"stop": ["er", "ir", "🦜"]},
    "logprobs": {"logprobs": True, "top_logprobs": 2, "n": 2},
    "obfuscated": {"stream_options": {"include_usage": True, "include_obfuscation": True}},
    "schema": {"response_format": JSON_SCHEMA, "n": 2},
    "JSON": {"response_format": {"type": "json_object"}, "max_tokens": 400},
    "calls": {**TOOLS, "tool_choice": "required"},
    "one call": {**TOOLS, "tool_choice": "required", "parallel_tool_calls": False, "n": 2},
    "named call": {**TOOLS, "tool_choice": {"type": "function", "function": {"name": "f"}}},
    "no call": {**TOOLS, "tool_choice": "none"},
    "deprecated call": {"functions": [FUNCTION], "function_call": {"name": "f"}},
}
RAW: dict[str, dict[str, Any]] = {
    # The clients' helpers cannot finish a call of a custom tool.
    "custom call": {"tools": [CUSTOM], "tool_choice": "required", "max_tokens": 100},
    "text again": {"n": 2, "logprobs": True},
}
RESPONSES: dict[str, dict[str, Any]] = {
    "text": {},
    "cut": {"max_output_tokens": 5},
    "stop": {"stop": ["er", "ir"]},
    "logprobs": {"top_logprobs": 2},
    "schema": {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}},
    "calls": {**FLAT_TOOLS, "tool_choice": "required", "max_output_tokens": 300},
    "custom call": {**FLAT_TOOLS, "tool_choice": {"type": "custom", "name": "sql"}, "max_output_tokens": 100},
    "grammar": {"tools": [{"type": "custom", "name": "g", "format": GRAMMAR}], "tool_choice": "required"},
}
TEXTS: dict[str, dict[str, Any]] = {
    "text": {},
    "several": {"prompt": ["Once", "Twice"], "n": 2, "max_tokens": 12},
    "logprobs": {"logprobs": 2},
    "stop": {"stop": ["e"]},
    "echo": {"echo": True},
}
THOUGHT = {"messages": [{"role": "user", "content": "Think aloud!"}]}

Asked = tuple[str, dict[str, Any]]
Pair = tuple[dict[str, Any], dict[str, Any]]


def variants() -> Iterator[tuple[str, Asked]]:
    """Every way to ask, with a name."""
    chat = {"messages": [{"role": "user", "content": "Hi"}]}
    ways: dict[str, tuple[dict[str, dict[str, Any]], dict[str, Any]]] = {
        "chat": (CHAT, chat),
        "raw": (RAW, chat),
        "responses": (RESPONSES, {"input": "Hi"}),
        "completions": (TEXTS, {"prompt": "Hi"}),
    }
    for way, (kinds, common) in ways.items():
        for name, fields in kinds.items():
            yield f"{way}: {name}", (way, MODEL | {"seed": 7, **common, **fields})


def told(value: Any) -> Any:
    """What an answer says: without ids and times, and without what only one of the two ways writes down."""
    if isinstance(value, list):
        return [told(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: told(item) for key, item in value.items() if key not in UNTOLD}
    return {key: item for key, item in kept.items() if item not in (None, [])}


UNTOLD = {
    "id",
    "call_id",
    "created",
    "created_at",
    "object",
    "parsed",
    "parsed_arguments",
    "obfuscation",
    "cached_tokens",
}


def chosen(answer: dict[str, Any]) -> dict[str, Any]:
    """The same, but for the places that calls have in a stream, and in the order of the choices."""
    said: dict[str, Any] = told(answer)
    for choice in said.get("choices", ()):
        for call in choice.get("message", {}).get("tool_calls", ()):
            call.pop("index", None)
    if "choices" in said:
        said["choices"].sort(key=lambda choice: choice["index"])
        return {"choices": said["choices"], "usage": said["usage"]}
    return {key: said.get(key) for key in ("output", "usage", "status", "incomplete_details")}


def by_python(base_url: str, asked: Iterable[Asked]) -> list[Pair]:
    """Whole and streamed, as the client has them at the end."""
    with OpenAI(base_url=base_url, api_key="any", max_retries=0, timeout=60) as client:
        return [pair_of(client, way, fields) for way, fields in asked]


def pair_of(client: OpenAI, way: str, fields: dict[str, Any]) -> Pair:
    """One answer both ways; what the client has no argument for goes into the body."""
    create: Callable[..., Any]
    usage = {"stream_options": {"include_usage": True}}
    if way == "responses":
        known = {key: value for key, value in fields.items() if key not in ("seed", "stop")}
        extra = {key: fields[key] for key in ("seed", "stop") if key in fields}
        known["extra_body"] = extra
        with client.responses.stream(**known) as responding:
            events = [event.to_dict(warnings=False) for event in responding]
        return client.responses.create(**known).to_dict(warnings=False), grown(events)
    create = client.completions.create if way == "completions" else client.chat.completions.create
    whole = create(**fields | {"stream_options": None}).to_dict(warnings=False)
    if way == "chat":
        with client.chat.completions.stream(**usage | fields) as completing:
            completing.until_done()
            # Asked for the final completion, the client raises where an answer was cut.
            return whole, completing.current_completion_snapshot.to_dict(warnings=False)
    return whole, joined(chunk.to_dict(warnings=False) for chunk in create(**fields | usage, stream=True))


def grown(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The response of the last event, its items put together from the deltas before."""
    texts = defaultdict[int, str](str)
    items: list[dict[str, Any]] = []
    for event in events:
        if event["type"].endswith(".delta"):
            texts[event["output_index"]] += event["delta"]
        if event["type"] == "response.output_item.done":
            items.append(event["item"])
    for index, item in enumerate(items):
        keys = {"function_call": "arguments", "custom_tool_call": "input"}
        if item["type"] in keys:
            item[keys[item["type"]]] = texts[index]
        else:
            item["content"][0]["text"] = texts[index]
    return {**events[-1]["response"], "output": items}


def joined(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Chunks put together, for those that the client has no helper for."""
    choices: list[dict[str, Any]] = []
    usage = None
    for chunk in chunks:
        choices = merged(choices, chunk["choices"])
        usage = chunk.get("usage") or usage
    for choice in choices:
        if "delta" in choice:
            choice["message"] = choice.pop("delta")
    return {"choices": choices, "usage": usage}


def merged(known: Any, more: Any) -> Any:
    """What adds up: texts, items of the same index, members."""
    if isinstance(known, str) and isinstance(more, str):
        return known + more
    if isinstance(known, list):
        for item in more:
            index = item.get("index") if isinstance(item, dict) else None
            place = next(
                (n for n, each in enumerate(known) if index is not None and each["index"] == index), None
            )
            if place is None:
                known.append(item)
            else:
                known[place] = merged(known[place], item)
        return known
    if isinstance(known, dict) and isinstance(more, dict):
        fresh = {key: value for key, value in more.items() if key == "index" or key not in known}
        return known | fresh | {key: merged(known[key], more[key]) for key in more.keys() - fresh.keys()}
    return known if more is None else more


def by_javascript(base_url: str, asked: Iterable[Asked]) -> list[Pair]:
    """The same, by the other client."""
    done = subprocess.run(
        [environment("clients") / "node", "both-ways.mjs"],
        cwd=ROOT / "tests/js",
        input=json.dumps([{"way": way, "asked": fields} for way, fields in asked]),
        env=os.environ | {"OPENAI_BASE_URL": base_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pairs: list[Pair] = json.loads(done.stdout)
    return pairs


NEEDS_NODE = pytest.mark.skipif(
    NODE_IS_MISSING, reason="the clients are not installed: `make test` does that"
)
BOTH = pytest.mark.parametrize("answered", [by_python, pytest.param(by_javascript, marks=NEEDS_NODE)])

Answered = Callable[[str, Iterable[Asked]], list[Pair]]


@BOTH
def test_stream_is_the_whole_answer(answered: Answered, fake_server: ServerProcess) -> None:
    """Every kind of answer, from a model whose tokens are single bytes."""
    names, asked = zip(*variants(), strict=True)
    for name, (whole, streamed) in zip(names, answered(fake_server.base_url, asked), strict=True):
        assert chosen(streamed) == chosen(whole), name


@BOTH
def test_stream_of_thoughts_is_the_whole_answer(answered: Answered) -> None:
    """Kept apart from what is said, in both APIs; of a chat only Python's client joins them."""
    asked = [("chat", MODEL | THOUGHT), ("responses", MODEL | {"input": "Think aloud!"})]
    with scripted_server(thinks=True) as url:
        chat, response = answered(url, asked)
    for answer in chat:
        if answered is by_javascript:
            assert answer["choices"][0]["message"].pop("reasoning_content")

    assert chosen(chat[1]) == chosen(chat[0])
    assert chosen(response[1]) == chosen(response[0])
    assert [item["type"] for item in response[1]["output"]] == ["reasoning", "message"]


@BOTH
@pytest.mark.model
def test_stream_of_the_real_model_is_the_whole_answer(answered: Answered, server: ServerProcess) -> None:
    """A sample."""
    sample = ("chat: several choices", "chat: named call", "raw: text again")
    named = dict(variants())
    more = ("responses: text", "responses: grammar", "completions: logprobs")
    asked = [(way, {**fields, **LIMITS[way]}) for way, fields in (named[name] for name in sample + more)]
    for name, (whole, streamed) in zip(sample + more, answered(server.base_url, asked), strict=True):
        assert chosen(streamed) == chosen(whole), name


LIMITS = {
    "chat": {"max_tokens": 100},
    "raw": {"max_tokens": 20},
    "responses": {"max_output_tokens": 40},
    "completions": {"max_tokens": 12},
}
