"""The `llm` command, told of the server in its `extra-openai-models.yaml`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = """
- model_id: antiphon
  model_name: gpt-4o-mini
  api_base: {base_url}
  supports_schema: true
  supports_tools: true
- model_id: scripted
  model_name: gpt-4o-mini
  api_base: {scripted_url}
  supports_tools: true
"""


class Llm:
    """The command with a home of its own."""

    def __init__(self, home: Path, base_url: str, scripted_url: str) -> None:
        """Write its configuration."""
        self._home = home
        (home / "extra-openai-models.yaml").write_text(
            MODELS.format(base_url=base_url, scripted_url=scripted_url), encoding="utf-8"
        )

    def __call__(self, *arguments: str, check: bool = True) -> str:
        """Run it; what it prints."""
        run = subprocess.run(
            [sys.executable, "-m", "llm", *arguments],
            env=os.environ | {"LLM_USER_PATH": str(self._home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (run.returncode == 0) == check, run.stderr
        return (run.stdout if check else run.stderr).strip()


@pytest.fixture
def llm(tmp_path: Path, base_url: str, scripted_url: str) -> Llm:
    """The command."""
    return Llm(tmp_path, base_url, scripted_url)


@pytest.mark.parametrize("options", [(), ("--no-stream",)], ids=["streamed", "whole"])
def test_prompt(llm: Llm, options: tuple[str, ...]) -> None:
    """An answer is printed, and its usage is logged."""
    assert llm("-m", "antiphon", "-o", "max_tokens", "12", *options, "Hello!")

    (entry,) = json.loads(llm("logs", "--json"))
    assert 0 < entry["output_tokens"] <= 12
    assert entry["input_tokens"] > 0


def test_conversation(llm: Llm) -> None:
    """`-c` goes on where the last prompt ended."""
    llm("-m", "antiphon", "-o", "max_tokens", "5", "-s", "Be brief.", "Hello!")
    llm("-c", "-o", "max_tokens", "5", "And you?")

    first, last = json.loads(llm("logs", "--json", "-n", "2"))
    assert last["conversation_id"] == first["conversation_id"]
    assert last["input_tokens"] > first["input_tokens"]


def test_schema(llm: Llm) -> None:
    """A JSON schema holds."""
    properties = {"legs": {"enum": ["two", "four"]}, "flies": {"type": "boolean"}}
    schema = {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }
    animal = json.loads(llm("-m", "antiphon", "--schema", json.dumps(schema), "A bird"))

    assert animal["legs"] in ("two", "four")
    assert type(animal["flies"]) is bool


def test_tool(llm: Llm) -> None:
    """A Python function is called, and its result is told to the model."""
    weather = 'def get_weather(location: str) -> str:\n    "Weather"\n    return "sunny in " + location\n'
    said = llm(
        "-m", "scripted", "--functions", weather, "--tools-debug", "--chain-limit", "3",
        "What is the weather in San Francisco, CA?",
    )  # fmt: skip

    assert said
    entries = json.loads(llm("logs", "--json", "-n", "2"))
    assert [result["output"] for entry in entries for result in entry["tool_results"]] == [
        "sunny in San Francisco, CA"
    ]


def test_error(llm: Llm) -> None:
    """What the server says is shown."""
    assert "maximum context length" in llm("-m", "antiphon", "word " * 9000, check=False)
