"""What is PostgreSQL's own: lost connections, a server that is gone or slow, several servers at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from antiphon.core.errors import StoreUnavailable
from antiphon.core.stored import StoredQuery
from antiphon.store import migrations
from antiphon.store.errors import StoreError
from antiphon.store.postgres import PostgresOptions, PostgresStore, open_store
from tests.postgres_server import PostgresServer
from tests.stored import MINE, completion


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """An empty database."""
    return postgres.new_database()


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    """An empty one that soon gives up."""
    store = await open_store(url, PostgresOptions(timeout_s=0.5))
    yield store
    await store.aclose()


async def test_several_servers_share_a_database(url: str) -> None:
    """They make the tables once, though they start together, and see what the others store."""
    stores = await asyncio.gather(*(open_store(url) for _ in range(4)))
    await stores[0].add(completion("a"))

    assert [await store.get(MINE, "a") for store in stores] == [completion("a")] * 4
    await asyncio.gather(*(store.aclose() for store in stores))


async def test_changes_at_once_leave_one_of_them_whole(url: str, store: PostgresStore) -> None:
    """Record and filter agree afterwards."""
    await store.add(completion("a"))
    other = await open_store(url)
    await asyncio.gather(
        *(each.set_metadata(MINE, "a", {"n": str(n)}) for n in range(10) for each in (store, other))
    )
    kept = await store.get(MINE, "a")
    assert kept is not None
    pairs = tuple(kept.keeping.metadata.items())
    found = [await store.list(MINE, StoredQuery(metadata=(("n", str(n)),))) for n in range(10)]

    assert sum(len(page.completions) for page in found if page) == 1
    page = await store.list(MINE, StoredQuery(metadata=pairs))
    assert page is not None
    assert page.completions == (kept,)
    await other.aclose()


async def test_completion_that_was_committed_unseen_is_not_stored_twice(store: PostgresStore) -> None:
    """As after a connection that broke behind the commit."""
    await store.add(completion("a", metadata={"k": "v"}))
    await store.add(completion("a", metadata={"k": "v"}))
    page = await store.list(MINE, StoredQuery())

    assert page is not None
    assert page.completions == (completion("a", metadata={"k": "v"}),)


async def test_server_that_crashes_loses_nothing_and_is_used_again(
    postgres: PostgresServer, store: PostgresStore
) -> None:
    """While it is away every call says so, soon; new completions are refused before they are generated."""
    await store.add(completion("a"))
    postgres.stop()
    for call in (store.get(MINE, "a"), store.add(completion("b")), store.check()):
        with pytest.raises(StoreUnavailable):
            await call
    postgres.start()

    await store.check()
    assert await store.get(MINE, "a") == completion("a")
    await store.add(completion("b"))
    assert await store.get(MINE, "b") == completion("b")


async def test_locked_table_is_unavailable_for_a_bounded_time(url: str, store: PostgresStore) -> None:
    """A writer that holds everybody up fails the call, not the server."""
    await store.add(completion("a"))
    tool = await open_store(url)
    async with tool._pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE antiphon_completions")
        with pytest.raises(StoreUnavailable):
            await store.get(MINE, "a")
    await tool.aclose()

    assert await store.get(MINE, "a") == completion("a")


async def test_new_completions_are_refused_before_the_line_is_full(url: str) -> None:
    """Those under way find room when they end; beyond the bound everything is refused."""
    store = await open_store(url, PostgresOptions(max_waiting=2))
    reading = asyncio.create_task(store.get(MINE, "a"))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await store.check()
    writing = asyncio.create_task(store.add(completion("never-before")))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await store.get(MINE, "a")

    await asyncio.gather(reading, writing)
    await store.check()
    await store.aclose()


@pytest.mark.parametrize("id", ["\0", "a\0"])
async def test_id_that_no_database_can_hold_is_unknown(store: PostgresStore, id: str) -> None:
    """NUL in a URL is no failure."""
    assert await store.get(MINE, id) is None
    assert await store.set_metadata(MINE, id, {}) is None
    assert await store.delete(MINE, id) is False
    assert await store.list(MINE, StoredQuery(after=id)) is None
    page = await store.list(MINE, StoredQuery(model=id))
    assert page is not None
    assert page.completions == ()


async def test_page_of_large_completions_is_short(url: str, store: PostgresStore) -> None:
    """It has what fits, at least one, and says that there is more."""
    small = await open_store(url, PostgresOptions(page_bytes=1))
    for name in "abc":
        await small.add(completion(name))
    pages = [await small.list(MINE, StoredQuery(after=after)) for after in (None, "a", "b")]
    await small.aclose()

    shown = [(page.completions[0].id, len(page.completions), page.has_more) for page in pages if page]
    assert shown == [("a", 1, True), ("b", 1, True), ("c", 1, False)]


async def test_tables_of_a_later_version_are_left_alone(
    url: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older program cannot know what a newer one wrote; a newer one takes only the steps it must."""
    later = "CREATE TABLE antiphon_later (x integer)"
    monkeypatch.setattr(migrations, "POSTGRESQL", (*migrations.POSTGRESQL, later))
    await (await open_store(url)).aclose()
    await (await open_store(url)).aclose()
    monkeypatch.undo()

    with pytest.raises(StoreError, match="later version"):
        await open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:secret@127.0.0.1:1/none",
        "postgresql://user:secret@127.0.0.1:port/none",
        "postgresql://user:secret@/none?host=/nowhere",
    ],
)
async def test_database_that_cannot_be_reached_is_one_line_without_the_password(url: str) -> None:
    """It goes to the operator's terminal, and from there who knows where."""
    with pytest.raises(StoreError) as caught:
        await open_store(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_record_of_every_size_comes_back(store: PostgresStore) -> None:
    """Megabytes too."""
    large = completion("a", fingerprint="é" * 3_000_000)
    await store.add(large)
    assert await store.get(MINE, "a") == replace(large)
