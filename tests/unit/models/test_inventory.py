"""What is here of which model."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from antiphon.models.catalogue import CATALOGUE, DEFAULT_MODEL, Catalogue, CatalogueEntry
from antiphon.models.inventory import inventory, verify
from antiphon.models.progress import Silent

BYTES = b"weights"
ENTRY = replace(CATALOGUE[DEFAULT_MODEL], sha256=hashlib.sha256(BYTES).hexdigest(), size=len(BYTES))
ONE: Catalogue = {ENTRY.name: ENTRY}


def put_file(cache: Path, entry: CatalogueEntry = ENTRY, content: bytes = BYTES) -> None:
    """As `fetch` leaves it."""
    folder = cache / "models" / entry.name
    folder.mkdir(parents=True)
    (folder / entry.file_name).write_bytes(content)


def put_prepared(cache: Path, name: str, digest: str) -> Path:
    """As `prepare` leaves it."""
    folder = cache / "prepared" / name
    folder.mkdir(parents=True)
    (folder / "openvino_model.bin").write_bytes(b"1234")
    manifest = {"format": 3, "id": name, "sha256": digest, "sizes": {"openvino_model.bin": 4}}
    (folder / "antiphon.json").write_text(json.dumps(manifest))
    return folder


def test_absent_fetched_and_prepared_models(tmp_path: Path) -> None:
    """And what they take."""
    (absent,) = inventory(tmp_path, ONE)
    put_file(tmp_path)
    (fetched,) = inventory(tmp_path, ONE)
    put_prepared(tmp_path, "x", ENTRY.sha256)
    (ready,) = inventory(tmp_path, ONE)

    assert [absent.state, fetched.state, ready.state] == ["absent", "fetched", "ready"]
    assert [absent.disk_bytes, fetched.disk_bytes] == [0, len(BYTES)]
    assert ready.disk_bytes > fetched.disk_bytes


def test_files_of_ones_own_are_listed_behind_the_catalogue(tmp_path: Path) -> None:
    """Damaged folders are not."""
    put_prepared(tmp_path, "mine", "0" * 64)
    (put_prepared(tmp_path, "half", "1" * 64) / "antiphon.json").write_text("{")
    names = [(model.name, model.in_catalogue) for model in inventory(tmp_path, ONE)]

    assert names == [(ENTRY.name, True), ("mine", False)]


def test_whole_files_are_verified(tmp_path: Path) -> None:
    """Byte by byte where a digest is known, else by their sizes."""
    put_file(tmp_path)
    folder = put_prepared(tmp_path, "x", ENTRY.sha256)
    assert verify(ENTRY, tmp_path, Silent()) is None

    (folder / "openvino_model.bin").write_bytes(b"123")
    assert "openvino_model.bin is not whole" in str(verify(ENTRY, tmp_path, Silent()))


def test_wrong_bytes_are_told(tmp_path: Path) -> None:
    """Though the size is right."""
    put_file(tmp_path, content=b"Weights")

    assert "not the file of the catalogue" in str(verify(ENTRY, tmp_path, Silent()))
