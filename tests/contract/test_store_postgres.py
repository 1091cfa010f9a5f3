"""PostgreSQL under the store contract."""

from collections.abc import AsyncIterator

import pytest

from antiphon.store.postgres import PostgresStore, open_store
from tests.contract.store_contract import StoreContract
from tests.postgres_server import PostgresServer


@pytest.fixture
async def store(postgres: PostgresServer) -> AsyncIterator[PostgresStore]:
    """An empty one."""
    store = await open_store(postgres.new_database())
    yield store
    await store.aclose()


class TestPostgresStore(StoreContract):
    """Everything the port promises."""
