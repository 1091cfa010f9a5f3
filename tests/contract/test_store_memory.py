"""The store in memory under the store contract."""

import pytest

from antiphon.store.memory import MemoryStore
from tests.contract.store_contract import StoreContract


@pytest.fixture
def store() -> MemoryStore:
    """An empty one."""
    return MemoryStore()


class TestMemoryStore(StoreContract):
    """Everything the port promises."""
