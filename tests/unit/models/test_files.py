"""What has its final name in the cache is whole."""

from pathlib import Path

import pytest

from antiphon.models.files import cache_lock, replace_folder, work_folder, write_atomically
from tests.unit.models.conftest import RecordedProgress


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A text that cannot be written replaces nothing and leaves no temporary file."""
    path = tmp_path / "file"
    write_atomically(path, "old")

    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")

    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("file", "old")]


def test_folder_replaces_another_whole(tmp_path: Path) -> None:
    """Nothing of the old folder shines through."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "stale").touch()
    new.mkdir()
    (new / "fresh").touch()

    replace_folder(new, old)

    assert [path.name for path in tmp_path.rglob("*")] == ["old", "fresh"]


def test_lock_holder_sweeps_what_a_crash_left(tmp_path: Path, progress: RecordedProgress) -> None:
    """Half-made folders of starts that died do not pile up."""
    left = tmp_path / "tmp" / "tmpabc"
    left.mkdir(parents=True)

    with cache_lock(tmp_path, progress), work_folder(tmp_path) as work:
        assert (left.exists(), work.exists()) == (False, True)

    assert not work.exists()
