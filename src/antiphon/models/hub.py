"""Bring a model from a hub onto this machine: listed, fetched with resumption, checked, then in place.

    hub/ORG--NAME/refs/REVISION          the commit that was fetched
    hub/ORG--NAME/COMMIT/FILE            whole and right
    hub/ORG--NAME/COMMIT/FILE.part       as far as it came; the next try goes on there

What was fetched once is used without asking the hub again, so a revision does not move under a
server; another one is had by its name (`@revision`).

Invariant: a file under its final name has the digest that the hub's listing gave for it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from antiphon.models.errors import ModelError
from antiphon.models.files import cache_lock, write_atomically
from antiphon.models.folder import OPENVINO, Form
from antiphon.models.hub_repository import (
    HubFile,
    HubOptions,
    HubSpec,
    chosen_files,
    list_repository,
    opened,
    read_some,
)
from antiphon.models.progress import Progress

_CHUNK_BYTES: Final = 1 << 20
_TRIES: Final = 5
"""How often a connection may break without a byte having come."""


def fetch_from_hub(
    spec: HubSpec, hub: HubOptions, cache_dir: Path, progress: Progress, form: Form = OPENVINO
) -> Path:
    """The path of the model's GGUF file, or of its folder with weights in this form.

    Raises:
        ModelError: it cannot be had; one line says why.
    """
    home = cache_dir / "hub" / spec.repo.replace("/", "--")
    wanted = f"{spec.revision}:{spec.file}" if spec.file else spec.revision
    note = home / "refs" / f"{quote(wanted, safe='')}{form.suffix}.json"
    if (here := _noted(note, home)) is not None:
        return here
    if hub.offline:
        raise ModelError(f"hf:{spec.repo}: not on this machine, and HF_HUB_OFFLINE forbids to ask the hub")
    with cache_lock(cache_dir, progress):
        listing = list_repository(spec, hub)
        files = chosen_files(spec, listing, form)
        folder = home / listing.commit
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            if not (folder / file.name).is_file():
                _fetch(file, folder / file.name, _Source(spec, hub, listing.commit), progress)
        result = files[0].name if len(files) == 1 else ""
        sizes = {file.name: file.size for file in files}
        write_atomically(note, json.dumps({"commit": listing.commit, "result": result, "sizes": sizes}))
        return folder / result


def _noted(note: Path, home: Path) -> Path | None:
    """What an earlier call brought, if it is still whole."""
    try:
        told: Mapping[str, Any] = json.loads(note.read_bytes())
        folder = home / str(told["commit"])
        whole = all((folder / name).stat().st_size == size for name, size in told["sizes"].items())
        return folder / str(told["result"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


class _Source:
    """Where the files of one commit come from."""

    def __init__(self, spec: HubSpec, hub: HubOptions, commit: str) -> None:
        self.spec = spec
        self._hub = hub
        self._commit = commit

    def append(self, file: HubFile, part: Path, progress: Progress) -> None:
        """Fetch what the part still lacks, until it is whole or the connection breaks."""
        have = part.stat().st_size if part.is_file() else 0
        path = f"/{self.spec.repo}/resolve/{self._commit}/{quote(file.path)}"
        with opened(self.spec, self._hub, path, have) as answer:
            resumed = answer.status == 206
            with part.open("ab" if resumed else "wb") as target:
                have = have if resumed else 0
                while have <= file.size and (chunk := read_some(answer, _CHUNK_BYTES)):
                    target.write(chunk)
                    have += len(chunk)
                    progress.advance(len(chunk))


def _fetch(file: HubFile, target: Path, source: _Source, progress: Progress) -> None:
    """Fetch one file, going on where an earlier try stopped, and prove that it is the right one."""
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.is_file() else 0
    if have > file.size:
        part.unlink()
        have = 0
    progress.start(f"Fetching {file.name}", file.size)
    progress.advance(have)
    tries = 0
    while have < file.size or not part.is_file():
        source.append(file, part, progress)
        now = part.stat().st_size
        tries = 0 if now > have else tries + 1
        have = now
        if tries == _TRIES:
            raise ModelError(f"hf:{source.spec.repo}: {file.name} breaks off at {have} of {file.size} bytes")
    if not _is_right(file, part):
        part.unlink()
        raise ModelError(f"hf:{source.spec.repo}: {file.name} is not what the hub listed; it was not kept")
    part.rename(target)
    progress.done()


def _is_right(file: HubFile, part: Path) -> bool:
    """By its SHA-256 where the hub tells it, else by git's own digest of its small files."""
    if file.sha256:
        digest, wanted = hashlib.sha256(), file.sha256
    else:
        digest, wanted = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False), file.git_id
    with part.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == wanted
