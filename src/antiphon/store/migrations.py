"""How the database file came to its present shape, step by step.

A file remembers in `user_version` how many steps it has seen. Steps are only ever appended: files
of every earlier version are brought up by the same code that makes a new one.

Invariant: a step is applied whole or not at all.
"""

import apsw

from antiphon.store.errors import StoreError

APPLICATION_ID = 0x416E7469
"""Marks a database file as this program's: "Anti"."""

STEPS = (
    # A deleted completion keeps its row without content, so that a list can go on behind it.
    """
    CREATE TABLE completions (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        project  TEXT NOT NULL,
        id       TEXT NOT NULL UNIQUE,
        created  INTEGER NOT NULL,
        model    TEXT NOT NULL,
        record   TEXT
    ) STRICT;
    CREATE INDEX completions_in_order ON completions (project, created, sequence);
    CREATE TABLE metadata (
        sequence INTEGER NOT NULL REFERENCES completions ON DELETE CASCADE,
        key      TEXT NOT NULL,
        value    TEXT NOT NULL,
        PRIMARY KEY (sequence, key)
    ) STRICT, WITHOUT ROWID;
    """,
)


def migrate(connection: apsw.Connection) -> None:
    """Bring the file up to this version.

    Raises:
        StoreError: it is another program's, or a later version's.
    """
    version = connection.pragma("user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
    expected = APPLICATION_ID if version or tables else 0
    if connection.pragma("application_id") != expected:
        raise StoreError("the file is a database of another program")
    if version > len(STEPS):
        raise StoreError("the file was written by a later version of Antiphon")
    for number, step in enumerate(STEPS[version:], version + 1):
        with connection:
            connection.execute(step)
            connection.pragma("user_version", number)
            connection.pragma("application_id", APPLICATION_ID)
