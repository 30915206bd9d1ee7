"""The embedded store's releases: which there are, what they hold, which one is active."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable

import numpy as np

from services.common.errors import ReleaseNotFoundError
from services.common.records import Authorship, Entry, EntryKind, Fact
from services.knowledge.embedded.rows import ENTRY, ENTRY_WIDTH, chunks, entry_of, marks
from services.knowledge.embedded.schema import transaction
from services.knowledge.protocol import Release, Vector

_RELEASE = (
    "l.key, l.name, l.checksum, l.entries, l.embedding_model, l.embedding_checksum, "
    "l.dimension, l.provenance, l.parent, l.description"
)


def active_release(db: sqlite3.Connection) -> tuple[int, Release] | None:
    """Key and release that searches see."""
    row = db.execute(
        f"SELECT {_RELEASE} FROM active_release AS a JOIN releases AS l ON l.key = a.release_key"  # noqa: S608
    ).fetchone()
    return row and (row[0], Release(*row[1:]))


def complete_release(db: sqlite3.Connection, name: str) -> tuple[int, Release]:
    """Key and release of that name. Raises: ReleaseNotFoundError."""
    row = db.execute(
        f"SELECT {_RELEASE} FROM releases AS l WHERE l.name = ? AND l.complete",  # noqa: S608
        (name,),
    ).fetchone()
    if row is None:
        raise ReleaseNotFoundError(f"there is no release {name!r}.")
    return row[0], Release(*row[1:])


def complete_releases(db: sqlite3.Connection) -> tuple[Release, ...]:
    """Every complete release, oldest first."""
    rows = db.execute(f"SELECT {_RELEASE} FROM releases AS l WHERE l.complete ORDER BY l.key")  # noqa: S608
    return tuple(Release(*row[1:]) for row in rows)


def rows_of(
    db: sqlite3.Connection, release_key: int, *, first: int, count: int
) -> list[tuple[Entry, Vector]]:
    """Entries and vectors of a release, from the position `first` on."""
    rows = db.execute(
        f"SELECT {ENTRY}, v.vector "  # noqa: S608
        "FROM releases AS l JOIN release_revisions AS m ON m.release_key = l.key "
        "JOIN revisions AS r ON r.key = m.revision_key "
        "JOIN vectors AS v ON v.revision_key = r.key "
        "AND v.embedding_checksum = l.embedding_checksum "
        "WHERE l.key = ? AND m.position >= ? AND m.position < ? ORDER BY m.position",
        (release_key, first, first + count),
    )
    return [
        (entry_of(row[:ENTRY_WIDTH]), np.frombuffer(row[ENTRY_WIDTH], dtype=np.float32))
        for row in rows
    ]


def entries_of(db: sqlite3.Connection, release: str, entry_ids: Iterable[str]) -> tuple[Entry, ...]:
    """What a release holds of these entries, by id."""
    release_key, _ = complete_release(db, release)
    found: list[Entry] = []
    for some in chunks(set(entry_ids)):
        rows = db.execute(
            f"SELECT {ENTRY} FROM revisions AS r CROSS JOIN release_revisions AS m "  # noqa: S608
            f"ON m.revision_key = r.key AND m.release_key = ? WHERE r.entry_id IN ({marks(some)})",
            (release_key, *some),
        )
        found += map(entry_of, rows)
    return tuple(sorted(found, key=lambda entry: entry.id))


def graph_of(
    db: sqlite3.Connection, release_key: int, kind: EntryKind | None = None
) -> Iterable[tuple[int, Entry]]:
    """Position and entry of a release's rules and facts, or of one of these kinds, by id."""
    # Rules and facts have an index of their own: notes may be a thousand times as many.
    rows = db.execute(
        f"SELECT m.position, {ENTRY} FROM revisions AS r INDEXED BY rules_and_facts "  # noqa: S608
        "CROSS JOIN release_revisions AS m ON m.revision_key = r.key AND m.release_key = ? "
        "WHERE r.kind <> 'note' AND (? = '' OR r.kind = ?) ORDER BY m.position",
        (release_key, *[kind.value if kind else ""] * 2),
    )
    return ((position, entry_of(row)) for position, *row in rows)


def rules_of(db: sqlite3.Connection, release: str) -> tuple[Entry, ...]:
    """Every rule of a release, by id."""
    release_key, _ = complete_release(db, release)
    return tuple(entry for _, entry in graph_of(db, release_key, EntryKind.RULE))


def relations_of(db: sqlite3.Connection, release: str) -> frozenset[str]:
    """The relations of a release's facts."""
    release_key, _ = complete_release(db, release)
    return frozenset(
        entry.body.relation
        for _, entry in graph_of(db, release_key, EntryKind.FACT)
        if isinstance(entry.body, Fact)
    )


def activate(db: sqlite3.Connection, name: str, author: Authorship) -> Release:
    """Makes a release the active one; see `KnowledgeStore`."""
    with transaction(db):
        release_key, release = complete_release(db, name)
        now = db.execute("SELECT key, release_key, returns_to FROM active_release").fetchone()
        back = None
        if now is not None:
            back = now[2] if now[1] == release_key else now[0]
        _note(db, release_key, back, author)
    return release


def previous_release(db: sqlite3.Connection) -> Release | None:
    """The release that `roll_back` would go back to, or None."""
    row = db.execute(
        f"SELECT {_RELEASE} FROM active_release AS a "  # noqa: S608
        "JOIN activations AS b ON b.key = a.returns_to JOIN releases AS l ON l.key = b.release_key"
    ).fetchone()
    return row and Release(*row[1:])


def roll_back(db: sqlite3.Connection, author: Authorship) -> Release:
    """Goes back to what was active before; see `KnowledgeStore`."""
    with transaction(db):
        before = db.execute(
            "SELECT l.name, b.release_key, b.returns_to FROM active_release AS a "
            "JOIN activations AS b ON b.key = a.returns_to "
            "JOIN releases AS l ON l.key = b.release_key"
        ).fetchone()
        if before is None:
            raise ReleaseNotFoundError("there is no release to roll back to.")
        name, release_key, back = before
        _note(db, release_key, back, author)
        return complete_release(db, name)[1]


def _note(db: sqlite3.Connection, release_key: int, back: int | None, author: Authorship) -> None:
    db.execute(
        "INSERT INTO activations (release_key, returns_to, actor, reason, at) "
        "VALUES (?, ?, ?, ?, ?)",
        (release_key, back, author.actor, author.reason, time.time()),
    )
