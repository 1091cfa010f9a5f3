"""How the tables came to their present shape, step by step, in the words of each database.

A database remembers how many steps it has seen. Steps are only ever appended: databases of every
earlier version are brought up by the same statements that make a new one. Running them is each
store's own affair, for one owns its file and another shares a server.

Invariant: step n does the same in every list.
"""

from collections.abc import Sequence
from typing import Final

from antiphon.store.errors import StoreError

SQLITE: Final = (
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
    # What has expired is found without looking at everything.
    "CREATE INDEX completions_by_age ON completions (created);",
)

POSTGRESQL: Final = (
    """
    CREATE TABLE antiphon_completions (
        sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        project  text NOT NULL,
        id       text NOT NULL UNIQUE,
        created  bigint NOT NULL,
        model    text NOT NULL,
        record   text
    );
    CREATE INDEX antiphon_completions_in_order ON antiphon_completions (project, created, sequence);
    CREATE TABLE antiphon_metadata (
        sequence bigint NOT NULL REFERENCES antiphon_completions ON DELETE CASCADE,
        key      text NOT NULL,
        value    text NOT NULL,
        PRIMARY KEY (sequence, key)
    );
    """,
    "CREATE INDEX antiphon_completions_by_age ON antiphon_completions (created);",
)


def pending(steps: Sequence[str], seen: int) -> Sequence[str]:
    """The steps that a database lacks which has seen the first `seen`.

    Raises:
        StoreError: it has seen some that nobody knows here.
    """
    if seen > len(steps):
        raise StoreError("what is stored there was written by a later version of Antiphon")
    return steps[seen:]
