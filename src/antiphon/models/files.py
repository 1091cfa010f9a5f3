"""Writing into the cache so that a crash, a full disk or a second process never leaves half a file.

Everything is made under a name of its own in the cache's `tmp` folder and renamed into place: what
has its final name is whole. The lock only saves two starts from doing the same work twice; its
holder may also sweep what crashed starts left behind.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from antiphon.models.progress import Progress


def write_atomically(path: Path, text: str) -> None:
    """Put a small text file in place, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def work_folder(cache_dir: Path) -> Iterator[Path]:
    """A fresh folder on the cache's own file system, removed at the end with what is left in it."""
    parent = cache_dir / "tmp"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace_folder(source: Path, target: Path) -> None:
    """Rename `source` to `target`, throwing away what was there. Call with the lock held."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    os.rename(source, target)


@contextlib.contextmanager
def cache_lock(cache_dir: Path, progress: Progress) -> Iterator[None]:
    """Be the only process that fetches or converts. The kernel frees the lock if its holder dies."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.start("Waiting for another process to prepare a model", None)
            fcntl.flock(file, fcntl.LOCK_EX)
            progress.done()
        shutil.rmtree(cache_dir / "tmp", ignore_errors=True)
        yield
