"""From what the operator named to a folder the engine can run, doing each costly step once.

    name ── fetch ──▶ models/NAME/*.gguf ──┐
    hf:ORG/NAME ── fetch_from_hub ─────────┤ (or a folder, as below)
    PATH.gguf ─────────────────────────────┴─ check, convert ──▶ prepared/NAME-DIGEST-fN/ ──▶ PreparedModel
    FOLDER with OpenVINO IR ──────────────────────────────────────────────────────────────▶ PreparedModel

In another form than OpenVINO's a model takes the same way: with safetensors in the place of the IR, or
without weights where an engine has them elsewhere.

Invariant: nothing is written outside the cache folder, and what stands under a final name there is
whole. A second start finds the prepared folder and reads a few small files.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final

from antiphon.models.catalogue import CATALOGUE, Catalogue, CatalogueEntry, unknown_model
from antiphon.models.convert import convert
from antiphon.models.digest import remembered_sha256
from antiphon.models.errors import ModelError
from antiphon.models.fetch import fetch
from antiphon.models.files import cache_lock, replace_folder, work_folder
from antiphon.models.folder import (
    DESCRIBED,
    OPENVINO,
    SAFETENSORS,
    Form,
    PreparedModel,
    check_folder,
    describe_folder,
)
from antiphon.models.gguf import Gguf, read_gguf
from antiphon.models.gguf_description import write_description
from antiphon.models.gguf_support import check_supported
from antiphon.models.hub import fetch_from_hub
from antiphon.models.hub_repository import PREFIX, PUBLIC_HUB, HubOptions, HubSpec, parse_spec
from antiphon.models.json_files import read_json
from antiphon.models.progress import Progress
from antiphon.models.safetensors import write_model

_FORMATS: Final[Mapping[Form, str]] = MappingProxyType({OPENVINO: "f4", SAFETENSORS: "s2", DESCRIBED: "d2"})
"""Of prepared folders. Raise a number when anything written there changes: old ones are then not found."""
MANIFEST: Final = "antiphon.json"


@dataclass(frozen=True, slots=True)
class _Workshop:
    """Where folders are made, in which form, and who is told."""

    cache_dir: Path
    form: Form
    progress: Progress


@dataclass(frozen=True, slots=True)
class _Source:
    """A GGUF to serve: where it is, what it is called, what it hashes to."""

    path: Path
    name: str
    id: str
    digest: str

    def prepared_folder(self, shop: _Workshop) -> Path:
        """Where its runnable form belongs."""
        return shop.cache_dir / "prepared" / f"{self.name}-{self.digest[:16]}-{_FORMATS[shop.form]}"


def prepare(
    spec: str,
    cache_dir: Path,
    progress: Progress,
    catalogue: Catalogue = CATALOGUE,
    *,
    hub: HubOptions = PUBLIC_HUB,
    form: Form = OPENVINO,
) -> PreparedModel:
    """Make the named model ready to load.

    It is named by the catalogue, by `hf:` and a repository, or by the path of a `.gguf` file or of a
    folder with weights in this form.

    Takes seconds and, for a catalogue model, the network on the first call; milliseconds afterwards.

    Raises:
        ModelError: it cannot be served; one line says why and what would work.
    """
    shop = _Workshop(cache_dir, form, progress)
    try:
        if spec.startswith(PREFIX):
            return _prepare_from_hub(parse_spec(spec), hub, shop)
        return _prepare(spec, shop, catalogue)
    except OSError as error:
        raise ModelError(f"{error.filename or cache_dir}: {error.strerror or 'cannot be used'}") from error


def _prepare(spec: str, shop: _Workshop, catalogue: Catalogue) -> PreparedModel:
    entry = catalogue.get(spec)
    if entry is not None:
        return _prepare_entry(entry, shop)
    path = Path(spec).expanduser()
    if path.is_dir():
        return _describe_own_folder(path.resolve(), shop)
    if path.is_file():
        return _prepare_file(path.resolve(), shop)
    if path.suffix.lower() == ".gguf" or len(path.parts) > 1:
        raise ModelError(
            f"{path}: no such file or folder (wanted: a .gguf file, or a folder with {shop.form.name})"
        )
    raise unknown_model(spec, catalogue)


def _prepare_from_hub(spec: HubSpec, hub: HubOptions, shop: _Workshop) -> PreparedModel:
    path = fetch_from_hub(spec, hub, shop.cache_dir, shop.progress, shop.form)
    if path.is_file():
        return _prepare_file(path, shop)
    # The folder is named for its commit; the model is not.
    return replace(_describe_own_folder(path, shop), id=spec.repo.rsplit("/", 1)[-1])


def _prepare_entry(entry: CatalogueEntry, shop: _Workshop) -> PreparedModel:
    path = shop.cache_dir / "models" / entry.name / entry.file_name
    source = _Source(path, entry.name, entry.id, entry.sha256)
    if ready := _find_prepared(source, shop):
        return ready
    with cache_lock(shop.cache_dir, shop.progress):
        if not path.is_file() or remembered_sha256(path, shop.cache_dir, shop.progress) != entry.sha256:
            fetch(entry, path, shop.cache_dir, shop.progress)
        return _find_prepared(source, shop) or _convert(source, shop)


def _prepare_file(path: Path, shop: _Workshop) -> PreparedModel:
    check_supported(read_gguf(path))  # first: a wrong file is told at once, not after hashing it
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem)[:80].lstrip(".") or "model"
    source = _Source(path, name, path.stem, remembered_sha256(path, shop.cache_dir, shop.progress))
    if ready := _find_prepared(source, shop):
        return ready
    with cache_lock(shop.cache_dir, shop.progress):
        return _find_prepared(source, shop) or _convert(source, shop)


def _describe_own_folder(folder: Path, shop: _Workshop) -> PreparedModel:
    check_folder(folder, shop.form)
    paths = shop.form.identifying(folder)
    digests = [remembered_sha256(path, shop.cache_dir, shop.progress) for path in paths]
    return describe_folder(folder, folder.name, sha256("".join(digests).encode()).hexdigest(), shop.form)


def _convert(source: _Source, shop: _Workshop) -> PreparedModel:
    """Fill a new folder and put it in place. Call with the lock held."""
    gguf = read_gguf(source.path)
    check_supported(gguf)
    shop.progress.start(f"Preparing {source.id} (once)", None)
    with work_folder(shop.cache_dir) as work:
        folder, scratch = work / "prepared", work / "scratch"
        folder.mkdir()
        scratch.mkdir()
        write_description(gguf, folder)
        _write_weights(gguf, folder, scratch, shop.form)
        _write_manifest(source, folder)
        describe_folder(folder, source.id, source.digest, shop.form)
        target = source.prepared_folder(shop)
        replace_folder(folder, target)
    shop.progress.done()
    return describe_folder(target, source.id, source.digest, shop.form)


def _write_weights(gguf: Gguf, folder: Path, scratch: Path, form: Form) -> None:
    if form == SAFETENSORS:
        write_model(gguf, folder)
    elif form == OPENVINO:
        convert(gguf, folder, scratch)


def _write_manifest(source: _Source, folder: Path) -> None:
    """Remember the whole digest and every file's size: a folder that lost bytes is made anew."""
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    manifest = {"id": source.id, "sha256": source.digest, "sizes": sizes}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _find_prepared(source: _Source, shop: _Workshop) -> PreparedModel | None:
    """The model, if an earlier start prepared this very file and its folder is still whole."""
    folder = source.prepared_folder(shop)
    try:
        manifest = read_json(folder / MANIFEST)
        sizes = manifest["sizes"]
        whole = all((folder / name).stat().st_size == size for name, size in sizes.items())
        if whole and manifest["sha256"] == source.digest:
            return describe_folder(folder, source.id, source.digest, shop.form)
    except (OSError, KeyError, AttributeError, ModelError):
        pass  # absent or damaged: it is made anew
    return None
