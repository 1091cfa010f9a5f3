"""The reference pages are what the code says, and name everything there is."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from antiphon.api.errors import ROWS
from tests.live.client_runs import CLIENTS, recorded

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """The script that writes the pages."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_pages_are_fresh(generator: ModuleType) -> None:
    """`make docs` would change nothing."""
    written = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").iterdir()}

    assert written == generator.pages()


def test_error_page_shows_every_error(generator: ModuleType) -> None:
    """One sample for each row of the table."""
    assert {type(sample) for sample in generator.SAMPLES} == {row.kind for row in ROWS}


def test_compatibility_page_is_of_the_clients_that_are_run() -> None:
    """Each client in the version that the locks install; that their results are true is tested live."""
    told = {name: record["versions"] for name, record in recorded().items()}

    assert told == {client.name: client.versions() for client in CLIENTS}
