"""What Open WebUI, Continue and Zed ask of a server is answered as they need it.

These programs do not run here. The requests are what their sources write: Open WebUI at 074d488
(routers/openai.py, routers/tasks.py), Continue at 0069b94 (core/llm/llms/OpenAI.ts), Zed at 014676e
(crates/open_ai/src/open_ai.rs). Addresses and models are read from the pages that tell people what to enter.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.docs.blocks import ROOT, blocks
from tests.live.server_process import ServerProcess

pytestmark = pytest.mark.live

BASE = "http://127.0.0.1:8000/v1"
"""As the pages have it."""
HEADERS = {"Authorization": "Bearer any", "Content-Type": "application/json"}
CONTINUE = HEADERS | {"api-key": "any"}

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "What is in README.md?"}
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "read", "arguments": '{"path": "README.md"}'},
}
PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
READ = {"type": "function", "function": {"name": "read", "description": "Read.", "parameters": PARAMETERS}}
TOLD = [
    SYSTEM,
    USER,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "# Antiphon", "tool_call_id": "call_1"},
]


def settings(language: str) -> str:
    """The block of settings of the page about editors in that language."""
    (block,) = (block for block in blocks("docs/guides/editors.md") if block.language == language)
    return block.text


def continue_model() -> dict[str, str]:
    """What Continue is told of the model."""
    return dict(re.findall(r"^ +(?:- )?(\w+): (\S+)$", settings("yaml"), re.MULTILINE))


def zed_provider() -> dict[str, Any]:
    """What Zed is told of the provider."""
    provider: dict[str, Any] = json.loads(settings("json"))["language_models"]["openai_compatible"][
        "Antiphon"
    ]
    return provider


def ask(server: ServerProcess, body: Mapping[str, object], headers: Mapping[str, str]) -> httpx.Response:
    """The answer to a chat request; it must be one."""
    answer = httpx.post(f"{server.base_url}/chat/completions", json=body, headers=dict(headers), timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    """A stream's chunks; `[DONE]` must come last."""
    *events, done = [
        line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")
    ]
    assert done == "[DONE]"
    return [json.loads(event) for event in events]


@pytest.mark.parametrize("page", ["open-webui.md", "editors.md"])
def test_pages_tell_the_address_of_the_server(page: str) -> None:
    """The one that the server itself tells, with the default port."""
    assert BASE in (ROOT / "docs/guides" / page).read_text()


def test_open_webui_finds_the_models(fake_server: ServerProcess) -> None:
    """When a connection is checked, and whenever it lists what there is."""
    listed = httpx.get(f"{fake_server.base_url}/models", headers=HEADERS).json()

    assert {"fake", "gpt-4o-mini"} <= {model["id"] for model in listed["data"]}


def test_open_webui_chats(fake_server: ServerProcess) -> None:
    """Streamed, with usage and the parameters that can be set for a model, and tools where they are on."""
    parameters: dict[str, object] = {
        "temperature": 0.8,
        "top_p": 0.9,
        "max_tokens": 30,
        "frequency_penalty": 0.5,
        "seed": 1,
    }
    parameters |= {
        "presence_penalty": 0.5,
        "stop": ["END"],
        "logit_bias": {"5": 1},
        "top_k": 40,
        "min_p": 0.1,
    }
    body = {"model": "gpt-4o-mini", "messages": [SYSTEM, USER], "stream": True, "tools": [READ]}
    *said, last = chunks(
        ask(fake_server, body | {"stream_options": {"include_usage": True}} | parameters, HEADERS)
    )

    assert any(chunk["choices"][0]["delta"].get("content") for chunk in said)
    assert last["usage"]["total_tokens"] > 0


@pytest.mark.parametrize("limit", [{"max_completion_tokens": 1000}, {}], ids=["title", "tags"])
def test_open_webui_names_a_chat(fake_server: ServerProcess, limit: dict[str, int]) -> None:
    """Whole, by a prompt that asks for JSON in words; tags and follow-up questions have no limit."""
    body: dict[str, object] = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "### Task: a title, as JSON"}],
    }
    answer = ask(fake_server, body | {"stream": False} | limit, HEADERS).json()

    assert isinstance(answer["choices"][0]["message"]["content"], str)


def test_continue_chats_and_edits(fake_server: ServerProcess) -> None:
    """An edit of a model of this name sends what is there already as a prediction."""
    told = continue_model()
    body = {"model": told["model"], "messages": [SYSTEM, USER], "max_tokens": 40, "stream": True}
    edit = body | {"temperature": 0.0, "prediction": {"type": "content", "content": "# Antiphon\n"}}

    assert told["apiBase"] == BASE
    assert chunks(ask(fake_server, body, CONTINUE))
    assert chunks(ask(fake_server, edit, CONTINUE))


def test_continue_cannot_complete_in_the_middle(fake_server: ServerProcess) -> None:
    """Which is why the page leaves that role out."""
    body = {"model": "gpt-4o-mini", "prompt": "def f(", "suffix": "\n    return 1", "stream": True}
    answer = httpx.post(f"{fake_server.base_url}/completions", json=body, headers=CONTINUE)

    assert "autocomplete" not in continue_model().get("roles", "")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "suffix")


@pytest.mark.parametrize("messages", [[SYSTEM, USER], TOLD], ids=["question", "result"])
def test_zed_chats_with_tools(fake_server: ServerProcess, messages: list[object]) -> None:
    """With every field that it sends to a provider of this kind; images it is told to leave out."""
    provider = zed_provider()
    (model,) = provider["available_models"]
    body = {
        "model": model["name"],
        "messages": messages,
        "stream": True,
        "tools": [READ],
        "tool_choice": "auto",
    }
    body |= {"stream_options": {"include_usage": True}, "max_completion_tokens": 40, "temperature": 1.0}
    body |= {"parallel_tool_calls": True, "prompt_cache_key": "thread-1"}
    *said, last = chunks(ask(fake_server, body, HEADERS))

    assert provider["api_url"] == BASE
    assert model["capabilities"]["images"] is False
    assert said[-1]["choices"][0]["finish_reason"] in ("stop", "length", "tool_calls")
    assert last["usage"]["prompt_tokens"] > 0
