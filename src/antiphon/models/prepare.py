"""From what the operator named to a folder the engine can run, doing each costly step once.

    name ── fetch ──▶ models/NAME/*.gguf ──┐
    hf:ORG/NAME ── fetch_from_hub ─────────┤ (or an OpenVINO folder, as below)
    PATH.gguf ─────────────────────────────┴─ check, convert ──▶ prepared/NAME-DIGEST-fN/ ──▶ PreparedModel
    FOLDER with OpenVINO IR ──────────────────────────────────────────────────────────────▶ PreparedModel

Invariant: nothing is written outside the cache folder, and what stands under a final name there is
whole. A second start finds the prepared folder and reads a few small files.
"""

import json
import re
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from antiphon.models.catalogue import CATALOGUE, Catalogue, CatalogueEntry, unknown_model
from antiphon.models.convert import convert
from antiphon.models.digest import remembered_sha256
from antiphon.models.errors import ModelError
from antiphon.models.fetch import fetch
from antiphon.models.files import cache_lock, replace_folder, work_folder
from antiphon.models.folder import IR_FILES, REQUIRED_FILES, PreparedModel, check_folder, describe_folder
from antiphon.models.gguf import read_gguf
from antiphon.models.gguf_description import write_description
from antiphon.models.gguf_support import check_supported
from antiphon.models.hub import fetch_from_hub
from antiphon.models.hub_repository import PREFIX, PUBLIC_HUB, HubOptions, HubSpec, parse_spec
from antiphon.models.json_files import read_json
from antiphon.models.progress import Progress

_FORMAT: Final = 3
"""Of prepared folders. Raise it when anything written there changes: old folders are then not found."""
MANIFEST: Final = "antiphon.json"


@dataclass(frozen=True, slots=True)
class _Source:
    """A GGUF to serve: where it is, what it is called, what it hashes to."""

    path: Path
    name: str
    id: str
    digest: str

    def prepared_folder(self, cache_dir: Path) -> Path:
        """Where its runnable form belongs."""
        return cache_dir / "prepared" / f"{self.name}-{self.digest[:16]}-f{_FORMAT}"


def prepare(
    spec: str,
    cache_dir: Path,
    progress: Progress,
    catalogue: Catalogue = CATALOGUE,
    hub: HubOptions = PUBLIC_HUB,
) -> PreparedModel:
    """Make the named model ready to load.

    It is named by the catalogue, by `hf:` and a repository, or by the path of a `.gguf` file or of a
    folder with OpenVINO IR.

    Takes seconds and, for a catalogue model, the network on the first call; milliseconds afterwards.

    Raises:
        ModelError: it cannot be served; one line says why and what would work.
    """
    try:
        if spec.startswith(PREFIX):
            return _prepare_from_hub(parse_spec(spec), hub, cache_dir, progress)
        return _prepare(spec, cache_dir, progress, catalogue)
    except OSError as error:
        raise ModelError(f"{error.filename or cache_dir}: {error.strerror or 'cannot be used'}") from error


def _prepare(spec: str, cache_dir: Path, progress: Progress, catalogue: Catalogue) -> PreparedModel:
    entry = catalogue.get(spec)
    if entry is not None:
        return _prepare_entry(entry, cache_dir, progress)
    path = Path(spec).expanduser()
    if path.is_dir():
        return _describe_own_folder(path.resolve(), cache_dir, progress)
    if path.is_file():
        return _prepare_file(path.resolve(), cache_dir, progress)
    if path.suffix.lower() == ".gguf" or len(path.parts) > 1:
        raise ModelError(f"{path}: no such file or folder (wanted: a .gguf file, or an OpenVINO folder)")
    raise unknown_model(spec, catalogue)


def _prepare_from_hub(spec: HubSpec, hub: HubOptions, cache_dir: Path, progress: Progress) -> PreparedModel:
    path = fetch_from_hub(spec, hub, cache_dir, progress)
    if path.is_file():
        return _prepare_file(path, cache_dir, progress)
    # The folder is named for its commit; the model is not.
    return replace(_describe_own_folder(path, cache_dir, progress), id=spec.repo.rsplit("/", 1)[-1])


def _prepare_entry(entry: CatalogueEntry, cache_dir: Path, progress: Progress) -> PreparedModel:
    path = cache_dir / "models" / entry.name / entry.file_name
    source = _Source(path, entry.name, entry.id, entry.sha256)
    if ready := _find_prepared(source, cache_dir):
        return ready
    with cache_lock(cache_dir, progress):
        if not path.is_file() or remembered_sha256(path, cache_dir, progress) != entry.sha256:
            fetch(entry, path, cache_dir, progress)
        return _find_prepared(source, cache_dir) or _convert(source, cache_dir, progress)


def _prepare_file(path: Path, cache_dir: Path, progress: Progress) -> PreparedModel:
    check_supported(read_gguf(path))  # first: a wrong file is told at once, not after hashing it
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem)[:80].lstrip(".") or "model"
    source = _Source(path, name, path.stem, remembered_sha256(path, cache_dir, progress))
    if ready := _find_prepared(source, cache_dir):
        return ready
    with cache_lock(cache_dir, progress):
        return _find_prepared(source, cache_dir) or _convert(source, cache_dir, progress)


def _describe_own_folder(folder: Path, cache_dir: Path, progress: Progress) -> PreparedModel:
    check_folder(folder)
    digests = [remembered_sha256(folder / name, cache_dir, progress) for name in IR_FILES]
    return describe_folder(folder, folder.name, sha256("".join(digests).encode()).hexdigest())


def _convert(source: _Source, cache_dir: Path, progress: Progress) -> PreparedModel:
    """Fill a new folder and put it in place. Call with the lock held."""
    gguf = read_gguf(source.path)
    check_supported(gguf)
    progress.start(f"Preparing {source.id} (once)", None)
    with work_folder(cache_dir) as work:
        folder, scratch = work / "prepared", work / "scratch"
        folder.mkdir()
        scratch.mkdir()
        write_description(gguf, folder)
        convert(gguf, folder, scratch)
        _write_manifest(source, folder)
        describe_folder(folder, source.id, source.digest)
        target = source.prepared_folder(cache_dir)
        replace_folder(folder, target)
    progress.done()
    return describe_folder(target, source.id, source.digest)


def _write_manifest(source: _Source, folder: Path) -> None:
    """Remember the whole digest and every file's size: a folder that lost bytes is made anew."""
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    manifest = {"format": _FORMAT, "id": source.id, "sha256": source.digest, "sizes": sizes}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _find_prepared(source: _Source, cache_dir: Path) -> PreparedModel | None:
    """The model, if an earlier start prepared this very file and its folder is still whole."""
    folder = source.prepared_folder(cache_dir)
    try:
        manifest = read_json(folder / MANIFEST)
        sizes = manifest["sizes"]
        whole = all((folder / name).stat().st_size == size for name, size in sizes.items())
        if whole and sizes.keys() >= set(REQUIRED_FILES) and manifest["sha256"] == source.digest:
            return describe_folder(folder, source.id, source.digest)
    except (OSError, KeyError, AttributeError, ModelError):
        pass  # absent or damaged: it is made anew
    return None
