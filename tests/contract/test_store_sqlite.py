"""The SQLite file under the store contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.store.sqlite import SqliteStore
from tests.contract.store_contract import StoreContract


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty one."""
    store = SqliteStore(tmp_path / "completions.db")
    yield store
    store.close()


class TestSqliteStore(StoreContract):
    """Everything the port promises."""
