"""The clients that are run against a live server, how they are run, and what came of it.

`python -m tests.live.client_runs` (`make compatibility`) runs them all and writes what came of it to
`tests/clients/results.json`, from which docs/reference/compatibility.md is made. The test beside this file
runs them again, and fails where that record no longer tells the truth.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.live.scripted_model import scripted_server
from tests.live.server_process import running

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "tests" / "clients" / "results.json"
NPM_LOCK = ROOT / "tests" / "js" / "package-lock.json"


@dataclass(frozen=True)
class Client:
    """A client, and the file of its tests."""

    name: str
    environment: str
    """Its lock in requirements/ and folder in .venv/; "npm" for tests in JavaScript."""
    tests: str
    packages: tuple[str, ...]
    """Whose versions matter, the client itself first."""

    def versions(self) -> dict[str, str]:
        """What the lock says; nothing else is installed."""
        if self.environment == "npm":
            installed = json.loads(NPM_LOCK.read_text(encoding="utf-8"))["packages"]
            return {package: installed[f"node_modules/{package}"]["version"] for package in self.packages}
        lock = (ROOT / "requirements" / f"{self.environment}.txt").read_text(encoding="utf-8")
        pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))
        return {package: pins[package] for package in self.packages}

    def missing(self) -> str | None:
        """What keeps its tests from running here."""
        if not environment("clients").is_dir() or not (ROOT / "tests/js/node_modules").is_dir():
            return "the clients are not installed: `make test` does that"
        return None

    def command(self, report: Path) -> list[str]:
        """Runs its tests and writes their results to `report`, as JUnit does."""
        if self.environment == "npm":
            reporting = ["--test-reporter=junit", f"--test-reporter-destination={report}"]
            return [str(environment("clients") / "node"), "--test", *reporting, f"tests/js/{self.tests}"]
        folder = ROOT / "tests" / "clients"
        reporting = [
            "-c",
            str(folder / "pytest.ini"),
            f"--junitxml={report}",
            "-o",
            "cache_dir=.pytest_cache",
        ]
        python = str(environment(self.environment) / "python")
        return [python, "-m", "pytest", "-q", *reporting, str(folder / self.tests)]


CLIENTS = (
    Client("openai for Python", "clients", "test_openai.py", ("openai",)),
    Client("openai for Python, responses", "clients", "test_openai_responses.py", ("openai",)),
    Client("openai for JavaScript", "npm", "openai.test.mjs", ("openai",)),
    Client("openai for JavaScript, responses", "npm", "responses.test.mjs", ("openai",)),
    Client(
        "LangChain", "clients", "test_langchain.py", ("langchain-openai", "langchain-tests", "langchain-core")
    ),
    Client("pydantic-ai", "clients", "test_pydantic_ai.py", ("pydantic-ai-slim",)),
    Client("Instructor", "instructor", "test_instructor.py", ("instructor", "openai")),
    Client("Vercel AI SDK", "npm", "ai-sdk.test.mjs", ("ai", "@ai-sdk/openai-compatible", "@ai-sdk/openai")),
    Client("OpenAI Agents SDK", "clients", "test_openai_agents.py", ("openai-agents",)),
    Client("llm", "clients", "test_llm.py", ("llm",)),
)


@dataclass(frozen=True)
class Servers:
    """The base URLs of the servers that the tests talk to."""

    model: str
    """It has the real default model."""
    scripted: str
    """Its model knows its answers by heart."""
    thinking: str
    """So does this one, which thinks before it speaks where it is asked to."""

    def environment(self) -> dict[str, str]:
        """By which the tests find them."""
        return {
            "OPENAI_BASE_URL": self.model,
            "SCRIPTED_BASE_URL": self.scripted,
            "THINKING_BASE_URL": self.thinking,
            "OPENAI_API_KEY": "any",
        }


@dataclass(frozen=True)
class Run:
    """What came of a client's tests."""

    returncode: int
    output: str
    results: Mapping[str, str]
    """By test: "passed", or "failed", "skipped" and "not run" with the reason after a colon."""


def environment(name: str) -> Path:
    """The programs of an environment."""
    return ROOT / ".venv" / name / "bin"


def run(client: Client, servers: Servers) -> Run:
    """Run a client's tests against these servers."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            client.command(report),
            cwd=ROOT,
            env=os.environ | servers.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        results = read_report(report) if report.is_file() else {}
    return Run(done.returncode, done.stdout, results)


def read_report(report: Path) -> dict[str, str]:
    """The results in a report."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return {_name(case): _result(case) for case in cases}


def _name(case: ElementTree.Element) -> str:
    """A test's name in words; those of a class have its name before theirs."""
    *_, group = case.get("classname", "").split(".")
    words = case.get("name", "").removeprefix("test_").replace("_", " ")
    return f"{group.removeprefix('Test')}: {words}" if group.startswith("Test") else words


def _result(case: ElementTree.Element) -> str:
    skipped = case.find("skipped")
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if skipped is None:
        return "passed"
    reason = skipped.get("message", "").removeprefix("reason: ").removeprefix("[NOTRUN] ").strip()
    return f"{'not run' if skipped.get('type') == 'pytest.xfail' else 'skipped'}: {reason}"


def recorded() -> dict[str, dict[str, dict[str, str]]]:
    """What the record says: by client, its `versions` and its `results`."""
    record: dict[str, dict[str, dict[str, str]]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def main() -> int:
    """Run everything and write the record; 1 when something failed."""
    record, failed = {}, False
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder)) as server,
        scripted_server() as scripted,
        scripted_server(thinks=True) as thinking,
    ):
        for client in CLIENTS:
            done = run(client, Servers(server.base_url, scripted, thinking))
            record[client.name] = {
                "versions": client.versions(),
                "results": dict(sorted(done.results.items())),
            }
            failed |= done.returncode != 0
            print(f"{client.name}: {'failed' if done.returncode else 'passed'}", flush=True)
            if done.returncode:
                print(done.output, flush=True)
    RECORD.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
