"""Several models behind one server: which answers, what holds for it, and what is told of it."""

from typing import Any

import pytest

from antiphon.model_settings import ModelSettings
from tests.unit.api.fake_server import FakeServer, fake_server

MESSAGES = [{"role": "user", "content": "Hello"}]
TWO: dict[str, Any] = {"model": ("a", "b"), "models": {"b": ModelSettings(alias=("bee",))}}


def chat(model: str, **fields: object) -> dict[str, object]:
    """A conversation for this model."""
    return {"model": model, "messages": MESSAGES, **fields}


async def health(server: FakeServer) -> Any:
    """How each model is."""
    return (await server.client.get("/health")).json()["models"]


async def test_all_models_are_listed_with_their_names() -> None:
    """The first one's aliases are the server's."""
    async with fake_server(**TWO) as server:
        listed = (await server.client.get("/v1/models")).json()["data"]
        one = (await server.client.get("/v1/models/bee")).json()

    assert [(model["id"], model["alias_of"]) for model in listed] == [
        ("a", None),
        ("b", None),
        ("gpt-4o-mini", "a"),
        ("gpt-4o-mini-2024-07-18", "a"),
        ("bee", "b"),
    ]
    assert one["root"] == "b"


async def test_every_api_reaches_the_model_that_is_named() -> None:
    """By its name and by its alias; what was stored tells which one it was."""
    async with fake_server(**TWO) as server:
        for name in ("a", "b", "bee", "gpt-4o-mini"):
            assert (await server.post("/v1/chat/completions", chat(name, max_tokens=3)))["model"] == name
            whole = await server.post("/v1/responses", {"model": name, "input": "x", "max_output_tokens": 3})
            assert whole["model"] == name
            text = await server.post("/v1/completions", {"model": name, "prompt": "x", "max_tokens": 3})
            assert text["model"] == name
            tokens = (await server.post("/tokenize", {"model": name, "prompt": "xy"}))["tokens"]
            assert (await server.post("/detokenize", {"model": name, "tokens": tokens}))["prompt"] == "xy"
            chunks = await server.events("/v1/chat/completions", chat(name, max_tokens=3))
            assert {chunk["model"] for chunk in chunks[:-1]} == {name}
        await server.post("/v1/chat/completions", chat("bee", max_tokens=3, store=True))
        (stored,) = (await server.client.get("/v1/chat/completions?model=bee")).json()["data"]
        series = (await server.client.get("/v1/antiphon/stats")).json()["series"]

    assert stored["model"] == "bee"
    counted = {
        labels["model"]: count
        for labels, count in series["antiphon_completions_total"]
        if labels["outcome"] == "finished"
    }
    assert counted == {"a": 8, "b": 9}
    assert series["antiphon_model_loaded"] == [[{"model": "a"}, 1], [{"model": "b"}, 1]]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES}),
        ("/v1/responses", {"input": "x"}),
        ("/v1/completions", {"prompt": "x"}),
        ("/tokenize", {"prompt": "x"}),
        ("/detokenize", {"tokens": [1]}),
    ],
)
async def test_unknown_model_is_not_found(path: str, body: dict[str, object]) -> None:
    """No other model answers in its place, and nothing is loaded."""
    async with fake_server(**TWO) as server:
        assert (await server.refusal(path, {"model": "c", **body}, 404))[1] == "model_not_found"
        assert await health(server) == {"a": "ready", "b": "unloaded"}


async def test_model_is_loaded_when_it_is_asked_for() -> None:
    """And another one leaves where there is room for one only."""
    async with fake_server(**TWO, max_loaded_models=1) as server:
        seen = [await health(server)]
        for name in ("b", "a"):
            await server.post("/v1/chat/completions", chat(name, max_tokens=3))
            seen.append(await health(server))

    assert seen == [
        {"a": "ready", "b": "unloaded"},
        {"a": "unloaded", "b": "ready"},
        {"a": "ready", "b": "unloaded"},
    ]


async def test_tokens_are_told_without_loading_the_model() -> None:
    """The tokenizer is there always."""
    async with fake_server(**TWO) as server:
        await server.post("/tokenize", {"model": "b", "messages": MESSAGES})
        assert (await health(server))["b"] == "unloaded"


async def test_what_the_operator_set_is_told_of_each_model() -> None:
    """Under its aliases too; the text of the system prompt is not."""
    own = {"b": ModelSettings(alias=("bee",), temperature=0.25, max_tokens=4, system_prompt="Secret.")}
    async with fake_server(model=("a", "b"), models=own) as server:
        listed = await server.client.get("/v1/models")
    told = {each["id"]: (each["defaults"], each["has_system_prompt"]) for each in listed.json()["data"]}

    assert told["a"] == ({}, False)
    assert told["b"] == told["bee"] == ({"temperature": 0.25, "max_tokens": 4}, True)
    assert "Secret." not in listed.text


async def test_defaults_of_a_model_hold_where_the_request_is_silent() -> None:
    """In every API; null is silence too, and what the request says wins."""
    own = {"b": ModelSettings(temperature=0.25, top_p=0.5, max_tokens=4)}
    async with fake_server(model=("a", "b"), models=own) as server:
        ask = {"input": "x", "temperature": None}
        silent = await server.post("/v1/responses", {"model": "b", **ask})
        said = await server.post(
            "/v1/responses", {"model": "b", "input": "x", "temperature": 1.5, "max_output_tokens": 6}
        )
        other = await server.post("/v1/responses", {"model": "a", "max_output_tokens": 9, **ask})
        whole = await server.post("/v1/chat/completions", chat("b", ignore_eos=True))
        longer = await server.post(
            "/v1/chat/completions", chat("b", ignore_eos=True, max_completion_tokens=7)
        )
        text = await server.post("/v1/completions", {"model": "b", "prompt": "x", "ignore_eos": True})

    facts = [(r["temperature"], r["top_p"], r["max_output_tokens"]) for r in (silent, said, other)]
    assert facts == [(0.25, 0.5, 4), (1.5, 0.5, 6), (1.0, 1.0, 9)]
    assert [a["usage"]["completion_tokens"] for a in (whole, longer, text)] == [4, 7, 4]
    assert whole["choices"][0]["finish_reason"] == "length"


async def test_system_prompt_begins_conversations_without_one() -> None:
    """It is counted; instructions of the caller take its place, and plain texts are left alone."""
    async with fake_server(model=("m",), models={"m": ModelSettings(system_prompt="Be brief.")}) as server:
        own = [{"role": "developer", "content": "x"}, *MESSAGES]
        prompts = [
            (await server.post("/tokenize", {"messages": messages}))["tokens"] for messages in (MESSAGES, own)
        ]
        texts = [(await server.post("/detokenize", {"tokens": tokens}))["prompt"] for tokens in prompts]
        usage = (await server.post("/v1/chat/completions", chat("m", max_tokens=1)))["usage"]
        plain = (await server.post("/tokenize", {"prompt": "x"}))["count"]

    assert ["Be brief." in text for text in texts] == [True, False]
    assert usage["prompt_tokens"] == len(prompts[0])
    assert plain == 1
