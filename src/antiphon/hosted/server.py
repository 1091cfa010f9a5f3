"""Run a server from Python: `antiphon.serve` starts one in a child process and returns when it is ready.

    with antiphon.serve("smollm2-135m") as server:
        client = OpenAI(base_url=server.url, api_key=server.api_key)

It needs no event loop and disturbs none: under one, start it with `asyncio.to_thread`. Settings come
from the arguments alone, so that a test does not depend on the environment that it runs in.

Invariant: the child ends with the block, with the object, or with this process, whichever ends first.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Literal, Self

from antiphon.hosted.channel import Message, TimedLines, write_line
from antiphon.hosted.script import Script
from antiphon.models.catalogue import DEFAULT_MODEL
from antiphon.models.progress import Progress, Silent
from antiphon.settings import describe_settings

_DEFAULTS: Mapping[str, object] = {"store": "memory", "drain_s": 0}
"""What differs from `antiphon serve`: nothing outlives the server, and its end is not waited for."""
_STOP_S = 15.0
_ANSWER_S = 10.0
_LOG_BYTES = 1 << 16
_LAST_LINES = 5


class ServeError(Exception):
    """The server could not start, or ended by itself; the text is the server's own words."""


class Server:
    """A server that answers. Close it, or use it in a `with` block."""

    def __init__(self, process: "_Process", ready: Message, api_key: str) -> None:
        """Made by `serve`."""
        self.url: str = ready["url"]
        """What clients call `base_url`; it ends in `/v1`."""
        self.model: str = ready["model"]
        self.models: tuple[str, ...] = tuple(ready["models"])
        """Every model, that one first; the others are loaded when they are asked for."""
        self.aliases: tuple[str, ...] = tuple(ready["aliases"])
        """Further names of the first one."""
        self.api_key = api_key
        """A key that the server takes; a placeholder where it asks for none, since clients want one."""
        self.script = Script(process.ask)
        """What the fake engine is to answer. With another engine its methods raise `ServeError`."""
        self._process = process
        self._finalizer = weakref.finalize(self, process.end)

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """The last of what the server has logged."""
        return self._process.log()

    def close(self) -> None:
        """Stop the server; returns when it is gone. Idempotent."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self._process.returncode if self._finalizer.alive else None
        words = f"the server ended by itself (exit code {code}){self._process.last_words()}"
        self.close()
        if code is not None and kind is None:
            raise ServeError(words)

    def __repr__(self) -> str:
        return f"<antiphon.Server {self.model} at {self.url}>"


def serve(
    model: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = DEFAULT_MODEL,
    *,
    engine: Literal["openvino", "fake"] = "openvino",
    port: int = 0,
    progress: Progress | None = None,
    timeout_s: float = 600.0,
    **settings: object,
) -> Server:
    """Start a server and wait until it answers; the first time a model is fetched and prepared.

    Of several models the first is loaded now, the others when they are asked for.
    Port 0 takes a free one. `engine="fake"` needs no model, starts in about a second and can be told
    what to answer (`Server.script`). Further `settings` are those of `antiphon serve`, by their names in
    docs/reference/settings.md (`api_key=["…"]`, `threads=2`). Completions are stored in memory unless
    `store` says otherwise.

    Raises:
        ServeError: it could not start within `timeout_s` seconds; the text says why.
        TypeError: there is no such setting.
    """
    known = {setting.name for setting in describe_settings()}
    if unknown := settings.keys() - known:
        raise TypeError(
            f"serve() has no setting {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}"
        )
    names = [model] if isinstance(model, str | os.PathLike) else model
    chosen = {"model": [os.fspath(name) for name in names], "engine": engine, "port": port}
    given = {**_DEFAULTS, **settings, **chosen}
    process = _Process(scriptable=engine == "fake")
    try:
        ready = process.start(given, progress or Silent(), time.monotonic() + timeout_s)
    except BaseException:
        process.end()
        raise
    return Server(process, ready, _first_key(given.get("api_key")))


def _first_key(keys: object) -> str:
    return str(keys[0]) if isinstance(keys, list | tuple) and keys else "any"


class _Process:
    """The child: its pipes, its log, its end."""

    def __init__(self, scriptable: bool) -> None:
        """Start it; it waits for its settings."""
        self._scriptable = scriptable
        self._turn = threading.Lock()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._child = subprocess.Popen(
            [sys.executable, "-m", "antiphon.hosted.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # A Ctrl+C at the terminal, or an interrupted notebook cell, is not meant for the server.
            start_new_session=True,
        )
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._to_child, self._from_child = self._child.stdin, self._child.stdout
        self._lines = TimedLines(self._from_child)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._child.poll()

    def start(self, settings: Mapping[str, object], progress: Progress, deadline: float) -> Message:
        """Hand over the settings and wait until it is ready.

        Raises:
            ServeError: it is not, and will not be.
        """
        self._send({"settings": settings})
        while True:
            message = self._read(deadline)
            match message["kind"]:
                case "ready":
                    return message
                case "failed":
                    raise ServeError(message["reason"])
                case _:
                    _show(message, progress)

    def ask(self, message: Message) -> None:
        """Send a message and wait until it is done.

        Raises:
            ServeError: the server is gone, or its engine cannot be told anything.
        """
        if not self._scriptable:
            raise ServeError('only a server with engine="fake" can be told what to answer')
        with self._turn:
            self._send(message)
            self._read(time.monotonic() + _ANSWER_S)

    def log(self) -> str:
        """The end of the log."""
        if self._log.closed:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _LOG_BYTES, max(0, size - _LOG_BYTES)).decode(errors="replace")

    def last_words(self) -> str:
        """The last lines of the log, to end a message with."""
        lines = self.log().splitlines()[-_LAST_LINES:]
        return "".join(f"\n  {line}" for line in lines)

    def end(self) -> None:
        """Stop it, by force where it does not stop by itself, and let go of everything."""
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
        for file in (self._to_child, self._from_child, self._log):
            with contextlib.suppress(OSError):
                file.close()

    def _send(self, message: Message) -> None:
        try:
            write_line(self._to_child, message)
        except (OSError, ValueError) as error:
            raise ServeError(f"the server has ended{self.last_words()}") from error

    def _read(self, deadline: float) -> Message:
        try:
            message = self._lines.read(deadline)
        except TimeoutError:
            raise ServeError(f"the server did not answer in time{self.last_words()}") from None
        if message is None:
            raise ServeError(f"the server ended (exit code {self._child.wait()}){self.last_words()}")
        return message


def _show(message: Message, progress: Progress) -> None:
    match message["kind"]:
        case "start":
            progress.start(message["label"], message["total"])
        case "advance":
            progress.advance(message["bytes"])
        case "end":
            progress.done()
