"""What loading and deriving a release in the embedded store have in common."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator

from services.common.errors import ConfigurationError
from services.common.records import Entry
from services.knowledge.embedded.releases import complete_release
from services.knowledge.embedded.rows import write_revision, write_vector
from services.knowledge.protocol import Release, Vector


def stored_release(db: sqlite3.Connection, release: Release) -> Release | None:
    """The complete release of that name, if there is one and it is the same."""
    row = db.execute("SELECT 1 FROM releases WHERE name = ? AND complete", (release.name,))
    if row.fetchone() is None:
        return None
    _, stored = complete_release(db, release.name)
    if stored.checksum != release.checksum:
        raise ConfigurationError(
            f"release {release.name!r} is already loaded with other entries; a release never "
            f"changes, so give this one another name."
        )
    if stored.embedding_checksum != release.embedding_checksum:
        raise ConfigurationError(
            f"release {release.name!r} is already loaded with vectors of "
            f"{stored.embedding_model}; to use {release.embedding_model}, load the same entries "
            f"under another name."
        )
    return stored


def insert_release(db: sqlite3.Connection, release: Release, *, complete: bool = False) -> int:
    """Writes the release's row. Returns its key."""
    row = db.execute(
        "INSERT INTO releases (name, checksum, entries, embedding_model, embedding_checksum, "
        "dimension, provenance, parent, description, loaded_at, complete) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING key",
        (
            release.name,
            release.checksum,
            release.entries,
            release.embedding_model,
            release.embedding_checksum,
            release.dimension,
            release.provenance,
            release.parent,
            release.description,
            time.time(),
            complete,
        ),
    )
    return int(row.fetchone()[0])


def write_content(
    db: sqlite3.Connection, row: tuple[Entry, Vector], embedding_checksum: str
) -> int:
    """Writes an entry and its vector, unless they are there. Returns the revision's key."""
    entry, vector = row
    key = write_revision(db, entry)
    write_vector(db, key, embedding_checksum, vector)
    return key


def fitting(
    release: Release,
    rows: Iterable[tuple[Entry, Vector]],
    *,
    last: str = "",
) -> Iterator[tuple[Entry, Vector]]:
    """Passes the rows on, and refuses those that do not fit the release.

    `last` is the id before the first of them.
    """
    for entry, vector in rows:
        if vector.shape != (release.dimension,):
            raise ConfigurationError(
                f"entry {entry.id!r} of release {release.name!r} has a vector of shape "
                f"{vector.shape}, expected ({release.dimension},)."
            )
        if entry.id == last:
            raise ConfigurationError(f"release {release.name!r} holds entry {entry.id!r} twice.")
        if entry.id < last:
            raise ConfigurationError(
                f"release {release.name!r} brings entry {entry.id!r} after {last!r}, not by id."
            )
        last = entry.id
        yield entry, vector
