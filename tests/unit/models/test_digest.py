"""Digests are remembered for exactly as long as the file stays the same."""

import hashlib
import os
from pathlib import Path

from antiphon.models.digest import remembered_sha256
from tests.unit.models.conftest import RecordedProgress


def test_digest_is_computed_once_and_shown(
    tmp_path: Path, cache_dir: Path, progress: RecordedProgress
) -> None:
    """The second call reads no file and shows nothing."""
    path = tmp_path / "weights"
    path.write_bytes(b"12345")
    expected = hashlib.sha256(b"12345").hexdigest()

    assert [remembered_sha256(path, cache_dir, progress) for _ in range(2)] == [expected] * 2
    assert progress.steps == [("Checking weights", 5, 5, True)]


def test_changed_file_is_hashed_anew(tmp_path: Path, cache_dir: Path, progress: RecordedProgress) -> None:
    """Another time of change is reason enough, even at the same size."""
    path = tmp_path / "weights"
    path.write_bytes(b"12345")
    os.utime(path, ns=(1, 1))
    remembered_sha256(path, cache_dir, progress)
    path.write_bytes(b"54321")

    assert remembered_sha256(path, cache_dir, progress) == hashlib.sha256(b"54321").hexdigest()


def test_damaged_memory_is_ignored(tmp_path: Path, cache_dir: Path, progress: RecordedProgress) -> None:
    """A stamp that cannot be read costs one more reading of the file, nothing else."""
    path = tmp_path / "weights"
    path.write_bytes(b"12345")
    expected = remembered_sha256(path, cache_dir, progress)
    for content in ("", "[]", "{}", '{"sha256": 5}'):
        next((cache_dir / "digests").iterdir()).write_text(content)

        assert remembered_sha256(path, cache_dir, progress) == expected
