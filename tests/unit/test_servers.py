"""Servers that can be found: announced while they live, forgotten when they are gone."""

import json
import os
import signal
from pathlib import Path

import pytest

from antiphon.servers import RunningServer, announced, running_servers, stop

URL = "http://127.0.0.1:8000/v1"


def write(folder: Path, pid: int) -> Path:
    """The file of a server that is gone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{pid}.json"
    path.write_text(json.dumps({"pid": pid, "url": URL, "model": "m", "started": 1}))
    return path


def test_announced_server_is_found_until_its_block_ends(tmp_path: Path) -> None:
    """With what others need to reach it."""
    with announced(tmp_path / "run", URL, "m"):
        (found,) = running_servers(tmp_path / "run")
        assert (found.pid, found.url, found.model) == (os.getpid(), URL, "m")

    assert running_servers(tmp_path / "run") == []
    assert list((tmp_path / "run").iterdir()) == []


def test_file_of_a_dead_server_is_removed(tmp_path: Path) -> None:
    """Nobody holds its lock."""
    path = write(tmp_path / "run", 12345)

    assert running_servers(tmp_path / "run") == []
    assert not path.exists()


def test_folder_that_others_may_write_to_is_not_believed(tmp_path: Path) -> None:
    """Its files could name any process; nor is one announced there."""
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o777)
    with announced(folder, URL, "m"):
        assert running_servers(folder) == []
        assert list(folder.iterdir()) == []


def test_folder_that_cannot_be_made_is_no_obstacle(tmp_path: Path) -> None:
    """The server runs all the same."""
    (tmp_path / "run").write_text("a file")
    with announced(tmp_path / "run", URL, "m"):
        assert running_servers(tmp_path / "run") == []


def test_stop_signals_a_server_and_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """True as soon as it is gone, False where it stays."""
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append((pid, number)))
    with announced(tmp_path / "run", URL, "m"):
        (server,) = running_servers(tmp_path / "run")
        assert not stop(tmp_path / "run", server, 0)

    assert stop(tmp_path / "run", server, 0)
    assert signals == [(os.getpid(), signal.SIGTERM)]


def test_process_that_took_over_a_number_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale file gives no right to signal anybody."""
    monkeypatch.setattr(os, "kill", None)
    write(tmp_path / "run", 12345)

    assert stop(tmp_path / "run", RunningServer(12345, URL, "m", 1), 0)
