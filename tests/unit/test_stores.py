"""Which store the settings open, and how long it keeps what it has."""

import os
from pathlib import Path

import pytest

from antiphon import stores
from antiphon.settings import Settings
from antiphon.store.errors import StoreError
from antiphon.store.sqlite import SqliteStore
from antiphon.stores import opened_store
from tests.postgres_server import PostgresServer
from tests.stored import MINE, completion


async def opened(settings: Settings) -> str:
    """The kind of store that these settings open."""
    async with opened_store(settings) as store:
        return type(store).__name__


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for this test alone."""
    monkeypatch.setattr(stores, "data_folder", lambda: tmp_path)
    return tmp_path


async def test_store_is_the_file_that_was_named(data: Path) -> None:
    """Else one in the data folder; the fake engine leaves nothing behind."""
    assert await opened(Settings(engine="fake")) == "MemoryStore"
    assert await opened(Settings(store="memory")) == "MemoryStore"
    assert await opened(Settings(store="off")) == "NoneType"
    assert os.listdir(data) == []
    assert await opened(Settings(engine="fake", store=str(data / "mine.db"))) == "SqliteStore"
    assert await opened(Settings()) == "SqliteStore"
    assert {"mine.db", "completions.db"} <= set(os.listdir(data))


async def test_named_file_that_cannot_be_used_is_an_error(data: Path) -> None:
    """In one line."""
    with pytest.raises(StoreError, match=r": Is a directory$"):
        await opened(Settings(store=str(data)))


async def test_default_file_in_use_leaves_a_server_without_a_store(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A second server on the machine starts all the same, and says so."""
    async with opened_store(Settings()):
        assert await opened(Settings()) == "NoneType"

    assert "another server stores its completions there; completions are not stored" in caplog.text


async def test_store_may_be_a_database(postgres: PostgresServer) -> None:
    """By its URL; what cannot be reached is an error that does not repeat it."""
    assert await opened(Settings(store=postgres.new_database())) == "PostgresStore"
    with pytest.raises(StoreError, match=r"^the database cannot be reached \(\w+\)$"):
        await opened(Settings(store="postgresql://u:secret@127.0.0.1:1/x"))


@pytest.mark.parametrize(("days", "kept"), [(0, True), (30, False)])
async def test_what_expired_while_no_server_ran_is_gone_at_the_start(
    data: Path, days: int, kept: bool
) -> None:
    """A completion of years ago, under a limit and without one."""
    old = SqliteStore(data / "old.db")
    await old.add(completion("a"))
    old.close()
    async with opened_store(Settings(store=str(data / "old.db"), store_days=days)) as store:
        assert store is not None
        assert (await store.get(MINE, "a") is not None) is kept
