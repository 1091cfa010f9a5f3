"""The composition root: what settings become, and how stop signals are counted."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon import app, assembly
from antiphon.app import Serving, StopSignals, build_app, run
from antiphon.assembly import StartError, assembled
from antiphon.cli.progress import open_progress
from antiphon.engine.backends.fake import improvise
from antiphon.servers import announced
from antiphon.settings import Settings


async def receive(stop_times: int, *, gentle: bool) -> asyncio.Task[bool]:
    """A finished task that got so many signals; unless cancelled, it returns whether a stop was requested."""

    async def serving() -> bool:
        stop = StopSignals()
        stop.gentle = gentle
        for _ in range(stop_times):
            stop.receive()
        await asyncio.sleep(0)
        return stop.requested.is_set()

    task = asyncio.create_task(serving())
    await asyncio.wait([task])
    return task


@pytest.mark.parametrize("times", [1, 2])
async def test_first_signal_is_gentle_once_serving(times: int) -> None:
    """A signal that arrives twice at once is one signal."""
    assert (await receive(times, gentle=True)).result() is True


async def test_any_signal_before_serving_is_abrupt() -> None:
    """There is nothing to drain yet."""
    assert (await receive(1, gentle=False)).cancelled()


async def test_later_second_signal_is_abrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it cannot be the same signal any more."""
    monkeypatch.setattr(app, "_SAME_SIGNAL_S", -1.0)

    assert (await receive(2, gentle=True)).cancelled()


async def test_names_are_the_model_and_its_aliases() -> None:
    """As the settings say."""
    settings = Settings(model=("m.gguf",), engine="fake", alias=("mine",), default_aliases=False)
    _, registry = build_app(settings, assembled(settings, open_progress, improvise))

    assert [model.id for model in registry.list()] == ["fake", "mine"]


def test_server_ends_on_a_signal_and_reports_where_it_was() -> None:
    """`run` returns when the signal has been served; the port was a free one."""
    seen: list[Serving] = []

    def stop_at_once(serving: Serving) -> None:
        seen.append(serving)
        signal.raise_signal(signal.SIGTERM)

    run(Settings(engine="fake", port=0), open_progress, stop_at_once)

    assert [serving.model for serving in seen] == ["fake"]
    assert seen[0].base_url.startswith("http://127.0.0.1:")
    assert seen[0].loopback


def test_store_that_cannot_be_used_is_a_start_error(tmp_path: Path) -> None:
    """In one line."""
    settings = Settings(engine="fake", port=0, store=str(tmp_path))

    with pytest.raises(StartError, match=r"^store: .*: Is a directory$"):
        run(settings, open_progress, lambda serving: None)


def test_traces_without_their_extra_are_a_start_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a setting asks for them; a variable that other programs read too gets a warning."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "antiphon.telemetry.otel", raising=False)
    with pytest.raises(StartError, match=r"traces are an extra: pip install 'antiphon\[otel\]'"):
        assembly.open_traces(Settings(otlp_endpoint="http://127.0.0.1:4318"))

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    assert not assembly.open_traces(Settings()).on


def test_nothing_of_opentelemetry_is_imported_unless_traces_are_on() -> None:
    """Not even where it is installed."""
    program = (
        "import sys; from antiphon import app, assembly; from antiphon.settings import Settings; "
        "assert not assembly.open_traces(Settings()).on; "
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}

    subprocess.run([sys.executable, "-c", program], check=True, env=environ)


def test_taken_port_is_a_start_error() -> None:
    """Told before anything is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port}: Address already in use"):
            run(Settings(engine="fake", port=port), open_progress, lambda serving: None)


def test_taken_port_of_another_server_of_ours_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With how to end it."""
    monkeypatch.setattr(app, "servers_folder", lambda: tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with (
            announced(tmp_path, f"http://127.0.0.1:{port}/v1", "m"),
            pytest.raises(StartError, match=f"your server {os.getpid()} is there, `antiphon stop {port}`"),
        ):
            run(Settings(engine="fake", port=port), open_progress, lambda serving: None)


def test_unknown_address_is_a_start_error() -> None:
    """Also in one line."""
    settings = Settings(engine="fake", host="203.0.113.7", insecure_no_auth=True)

    with pytest.raises(StartError, match=r"cannot listen on 203\.0\.113\.7"):
        run(settings, open_progress, lambda serving: None)
