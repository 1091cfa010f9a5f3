"""The file itself: who may read it, who may open it, and what happens when the disk fails."""

import asyncio
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from antiphon.core.errors import StoreUnavailable
from antiphon.core.stored import StoredQuery
from antiphon.store import migrations
from antiphon.store.errors import StoreError
from antiphon.store.sqlite import SqliteOptions, SqliteStore, has_wal_reset_race
from tests.stored import MINE, completion

TOOL_S = 0.05
"""How long the tests let a store wait for a tool that has locked its file."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file goes, in a folder that is not there yet."""
    return tmp_path / "data" / "completions.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """A store in that file which soon gives up waiting."""
    store = SqliteStore(path, SqliteOptions(busy_timeout_s=TOOL_S))
    yield store
    store.close()


async def test_file_outlives_the_store(path: Path) -> None:
    """What one server stored the next one finds, in one tidy file."""
    first = SqliteStore(path)
    await first.add(completion("a"))
    first.close()
    assert sorted(each.name for each in path.parent.iterdir()) == ["completions.db", "completions.db.lock"]

    second = SqliteStore(path)
    assert await second.get(MINE, "a") == completion("a")
    second.close()


async def test_files_are_their_owners_alone(path: Path, store: SqliteStore) -> None:
    """Conversations are private, those in the write-ahead log too."""
    await store.add(completion("a"))
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}

    assert set(modes.values()) == {0o600}
    assert "completions.db-wal" in modes
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_commits_are_synced(path: Path, store: SqliteStore) -> None:
    """The write-ahead log with a sync at every commit."""
    modes = await store._writer.run(
        lambda connection: [connection.pragma(name) for name in ("journal_mode", "synchronous", "mmap_size")]
    )

    assert modes == ["wal", 2, 0]


async def test_reader_cannot_write(store: SqliteStore) -> None:
    """One connection writes; the other is opened read-only."""
    with pytest.raises(StoreUnavailable):
        await store._reader.run(lambda connection: connection.execute("DELETE FROM completions"))


def test_second_server_is_kept_away(path: Path, store: SqliteStore) -> None:
    """With one line that says why."""
    with pytest.raises(StoreError, match=r"completions\.db: another server stores its completions there$"):
        SqliteStore(path)


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """Here a file is in the way."""
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match=r"file/completions\.db: (File exists|Not a directory)$"):
        SqliteStore(tmp_path / "file" / "completions.db")


def test_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """Whether it is a database or not."""
    text, foreign = tmp_path / "text", tmp_path / "foreign.db"
    text.write_text("Dear diary, today I wrote far more than a header of a database is long. " * 9)
    connection = apsw.Connection(str(foreign))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = text.read_bytes(), foreign.read_bytes()

    with pytest.raises(StoreError, match="file is not a database"):
        SqliteStore(text)
    with pytest.raises(StoreError, match="a database of another program"):
        SqliteStore(foreign)
    assert before == (text.read_bytes(), foreign.read_bytes())


def test_file_of_a_later_version_is_left_alone(path: Path) -> None:
    """An older program cannot know what a newer one wrote."""
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", len(migrations.SQLITE) + 1)
    connection.close()

    with pytest.raises(StoreError, match="written by a later version"):
        SqliteStore(path)


def test_later_step_brings_an_old_file_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the steps that the file has not seen are taken."""
    SqliteStore(path).close()
    monkeypatch.setattr(migrations, "SQLITE", (*migrations.SQLITE, "CREATE TABLE later (x)"))
    SqliteStore(path).close()

    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*) FROM later").get == 0
    connection.close()


async def test_locked_file_is_unavailable_for_a_bounded_time(path: Path, store: SqliteStore) -> None:
    """A tool that locks the file fails writes, not reads; after that, all is well again."""
    await store.add(completion("a"))
    tool = apsw.Connection(str(path))
    tool.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable):
        await store.add(completion("b"))
    with pytest.raises(StoreUnavailable):
        await store.check()
    assert await store.get(MINE, "a") == completion("a")
    tool.execute("ROLLBACK")
    tool.close()

    await store.check()
    await store.add(completion("b"))
    assert await store.get(MINE, "b") == completion("b")


async def test_full_disk_refuses_until_there_is_room(store: SqliteStore) -> None:
    """What failed was not promised; what was committed before stays."""
    await store.add(completion("a"))
    await store._writer.run(lambda connection: connection.pragma("max_page_count", 1))
    large = completion("b", fingerprint="x" * 100_000)

    with pytest.raises(StoreUnavailable):
        await store.add(large)
    assert await store.get(MINE, "b") is None
    # The failure closed the connection, and with it went the bound that stood for a full disk.
    await store.check()
    await store.add(large)
    assert await store.get(MINE, "b") == large
    assert await store.get(MINE, "a") == completion("a")


async def test_new_completions_are_refused_before_the_line_is_full(path: Path) -> None:
    """Those under way find room when they end; beyond the bound everything is refused."""
    store = SqliteStore(path, SqliteOptions(max_waiting=4))
    held = threading.Event()
    holding = [asyncio.create_task(store._writer.run(lambda _: held.wait())) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(StoreUnavailable):
        await store.check()
    ending = [asyncio.create_task(store.add(completion(str(place)))) for place in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await store.add(completion("beyond"))
    held.set()
    await asyncio.gather(*holding, *ending)

    await store.check()
    assert await store.get(MINE, "1") == completion("1")
    store.close()


async def test_page_of_large_completions_is_short(path: Path) -> None:
    """It has what fits, at least one, and says that there is more."""
    store = SqliteStore(path, SqliteOptions(page_bytes=1))
    for name in "abc":
        await store.add(completion(name))
    pages = [await store.list(MINE, StoredQuery(after=after)) for after in (None, "a", "b")]
    store.close()

    shown = [(page.completions[0].id, len(page.completions), page.has_more) for page in pages if page]
    assert shown == [("a", 1, True), ("b", 1, True), ("c", 1, False)]


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.0", True),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.54.1", False),
    ],
)
def test_versions_with_the_race_are_known(version: str, affected: bool) -> None:
    """Fixed in 3.51.3, and in two older series."""
    assert has_wal_reset_race(version) is affected


def warnings_in(caplog: pytest.LogCaptureFixture) -> int:
    """How many have been logged."""
    return sum(record.levelname == "WARNING" for record in caplog.records)


def test_race_is_told_at_the_start(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only where the library has it; the one that is installed has not."""
    SqliteStore(path).close()
    assert warnings_in(caplog) == 0
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    SqliteStore(path).close()

    assert warnings_in(caplog) == 1
