"""Runs code from the documents as it stands, as somebody would who pastes it: in a home of its own.

The port 8000 of the documents becomes a free one; `antiphon serve` and `make serve` run until the page
ends; installations are only looked up, in what this repository installs for its tests. Everything else
must run as it is written, and end well.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from tests.docs.blocks import ROOT
from tests.tiny_models import write_tiny_model

_ADDRESS = "127.0.0.1:8000"
_MODEL_FILE = "/path/to/model.gguf"
_SERVERS = ("antiphon serve", "make serve")
_START_S = 180.0
_RUN_S = 100.0
_CURLRC = "silent\nshow-error\nfail-with-body\n"
"""So that an error that a server tells fails the block; curl itself calls that a success."""

FILES = {
    "notes.txt": "Rain in the morning, sun later.\n",
    "city.json": json.dumps(
        {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 12}},
            "required": ["name"],
            "additionalProperties": False,
        }
    ),
}
"""What the documents take for granted in the folder of whoever reads them."""


class Sandbox:
    """A folder with a home, and the servers that its page has started."""

    def __init__(self, folder: Path, url: str, environment: dict[str, str]) -> None:
        """Until the page starts a server, `url` is the one that it speaks of."""
        self._folder = folder
        self._address = url.removeprefix("http://").removesuffix("/v1")
        self._servers: list[subprocess.Popen[bytes]] = []
        names = ("XDG_RUNTIME_DIR", "XDG_DATA_HOME", "HOME", "CURL_HOME")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANTIPHON_", "OPENAI_", "OTEL_", "XDG_"))
        }
        self._environment = kept | {name: str(folder) for name in names} | environment
        self._environment["PATH"] = os.pathsep.join(
            [str(Path(sys.executable).parent), str(ROOT / ".venv/clients/bin"), os.environ["PATH"]]
        )
        # What was prepared once need not be fetched for each page.
        self._environment["XDG_CACHE_HOME"] = str(Path(platformdirs.user_cache_path("antiphon")).parent)
        self._environment |= {"ANTIPHON_URL": url, "ANTIPHON_PORT": "0"}
        (folder / ".curlrc").write_text(_CURLRC)
        for name, text in FILES.items():
            (folder / name).write_text(text)

    def shell(self, text: str) -> None:
        """Run a block of shell commands; it must end well."""
        for kind, commands in _parts(text):
            if kind == "server":
                self._serve(commands)
            elif kind == "install":
                check_installation(commands)
            else:
                self._run(["bash", "-euo", "pipefail", "-c", self._here(commands)])

    def program(self, text: str, name: str, *command: str) -> None:
        """Run a program that is kept in a file of this name."""
        path = self._folder / name
        path.write_text(self._here(text), encoding="utf-8")
        self._run([*command, str(path)])

    def link(self, name: str, target: Path) -> None:
        """Have `target` in the folder too."""
        if not (self._folder / name).exists():
            (self._folder / name).symlink_to(target)

    def close(self) -> None:
        """End what was started."""
        for server in self._servers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)
                server.wait()

    def _here(self, text: str) -> str:
        if _MODEL_FILE in text:
            text = text.replace(_MODEL_FILE, str(write_tiny_model(self._folder / "model.gguf")))
        return text.replace(_ADDRESS, self._address)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            input="Hello!\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=_RUN_S,
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"

    def _serve(self, command: str) -> None:
        """Start a server; from now on the page speaks of it."""
        out = self._folder / f"server{len(self._servers)}"
        # A port in the command itself is one of the documents' too.
        command = re.sub(r"(?<=PORT=)\d+|(?<=--port )\d+", "0", command)
        with out.open("wb") as file:
            self._servers.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec {self._here(command)}"],
                    cwd=ROOT if command.startswith("make") else self._folder,
                    env=self._environment | {"PORT": "0"},
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        self._wait_for(out)

    def _wait_for(self, out: Path) -> None:
        deadline = time.monotonic() + _START_S
        while "Stop with Ctrl+C." not in out.read_text():
            assert self._servers[-1].poll() is None, out.read_text()
            assert time.monotonic() < deadline, out.read_text()
            time.sleep(0.05)
        match = re.search(r"Base URL\s+http://(\S+)/v1", out.read_text())
        assert match is not None
        self._address = match[1]
        self._environment["ANTIPHON_URL"] = f"http://{match[1]}/v1"


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """A block's commands: servers and installations one by one, what stands between them together."""
    between: list[str] = []
    for line in text.splitlines():
        kind = _kind(line)
        if not kind:
            between.append(line)
            continue
        if between:
            yield "commands", "\n".join(between)
            between = []
        yield kind, line
    if between:
        yield "commands", "\n".join(between)


def _kind(line: str) -> str:
    if line.startswith(_SERVERS):
        return "server"
    return "install" if line.startswith(("pip install ", "npm install ")) else ""


def check_installation(command: str) -> None:
    """What it installs is what the tests have installed, or an extra that exists."""
    tool, _, *wanted = shlex.split(command, comments=True)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    node = json.loads((ROOT / "tests/js/package.json").read_text())["dependencies"]
    clients = (ROOT / "requirements" / name for name in ("clients.in", "instructor.in"))
    known = {*node} if tool == "npm" else {line for file in clients for line in file.read_text().splitlines()}
    known |= {f"antiphon[{extra}]" for extra in extras}

    assert set(wanted) <= known


def missing() -> str | None:
    """What keeps the documents' code from being run here."""
    if not (ROOT / ".venv/clients/bin").is_dir() or not (ROOT / "tests/js/node_modules").is_dir():
        return "the clients are not installed: `make test` does that"
    return None if shutil.which("curl") else "curl is not installed"
