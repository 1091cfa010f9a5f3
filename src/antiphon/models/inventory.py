"""What is here of which model: the catalogue beside the cache folder.

Reads names and sizes only; whether the bytes are right is checked when a model is prepared, or by
`verify`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from antiphon.models.catalogue import CATALOGUE, Catalogue, CatalogueEntry
from antiphon.models.digest import sha256_file
from antiphon.models.errors import ModelError
from antiphon.models.json_files import read_json
from antiphon.models.prepare import MANIFEST
from antiphon.models.progress import Progress

State = Literal["ready", "fetched", "absent"]


@dataclass(frozen=True, slots=True)
class HeldModel:
    """A model that can be served by name, or was prepared from a file."""

    name: str
    id: str
    """The name the API serves it under."""
    state: State
    """Prepared; only its file is here; or to be fetched."""
    download_bytes: int
    """What fetching it takes; 0 for a file of one's own."""
    disk_bytes: int
    """What it takes here now."""
    licence: str
    in_catalogue: bool


def inventory(cache_dir: Path, catalogue: Catalogue = CATALOGUE) -> list[HeldModel]:
    """Every catalogue model, then what else was prepared here."""
    prepared = dict(_prepared(cache_dir))
    held = [_entry(entry, cache_dir, prepared.pop(entry.sha256, [])) for entry in catalogue.values()]
    return held + [_own(folders) for folders in prepared.values()]


def verify(entry: CatalogueEntry, cache_dir: Path, progress: Progress) -> str | None:
    """What is wrong with the files of a catalogue model that are here; None: nothing. Reads all of them."""
    path = _file(entry, cache_dir)
    if path.is_file():
        progress.start(f"Checking {entry.file_name}", entry.size)
        digest = sha256_file(path, progress)
        progress.done()
        if digest != entry.sha256:
            return f"{path} is not the file of the catalogue"
    for folder in dict(_prepared(cache_dir)).get(entry.sha256, []):
        for name, size in read_json(folder / MANIFEST)["sizes"].items():
            if not (folder / name).is_file() or (folder / name).stat().st_size != size:
                return f"{folder / name} is not whole"
    return None


def _file(entry: CatalogueEntry, cache_dir: Path) -> Path:
    return cache_dir / "models" / entry.name / entry.file_name


def _entry(entry: CatalogueEntry, cache_dir: Path, folders: list[Path]) -> HeldModel:
    file = _file(entry, cache_dir)
    state: State = "ready" if folders else "fetched" if file.is_file() else "absent"
    disk = sum(map(_size, folders)) + (file.stat().st_size if file.is_file() else 0)
    return HeldModel(entry.name, entry.id, state, entry.wheel_bytes, disk, entry.licence, in_catalogue=True)


def _own(folders: list[Path]) -> HeldModel:
    id = str(read_json(folders[0] / MANIFEST)["id"])
    return HeldModel(id, id, "ready", 0, sum(map(_size, folders)), "", in_catalogue=False)


def _prepared(cache_dir: Path) -> Iterator[tuple[str, list[Path]]]:
    """The prepared folders of each model, by its digest."""
    found: dict[str, list[Path]] = {}
    for manifest in sorted((cache_dir / "prepared").glob(f"*/{MANIFEST}")):
        try:
            found.setdefault(str(read_json(manifest)["sha256"]), []).append(manifest.parent)
        except (ModelError, KeyError):
            continue  # damaged: it will be made anew, and is nothing to show
    yield from found.items()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
