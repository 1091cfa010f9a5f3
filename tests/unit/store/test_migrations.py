"""The steps that a database lacks."""

import pytest

from antiphon.store.errors import StoreError
from antiphon.store.migrations import POSTGRESQL, SQLITE, pending


def test_only_what_was_not_seen_is_pending() -> None:
    """All of it in a new database, nothing in one that is up to date."""
    steps = ("one", "two", "three")

    assert [list(pending(steps, seen)) for seen in (0, 1, 3)] == [
        ["one", "two", "three"],
        ["two", "three"],
        [],
    ]
    with pytest.raises(StoreError, match="later version"):
        pending(steps, 4)


def test_databases_come_to_the_same_shape() -> None:
    """Step by step: a change of one is a change of the other."""
    assert len(SQLITE) == len(POSTGRESQL)
