"""What a stopped or killed load left in the embedded store's file."""

from __future__ import annotations

import sqlite3

from services.knowledge.embedded.rows import marks
from services.knowledge.embedded.schema import transaction
from services.knowledge.protocol import Release

BATCH = 256
"""Rows per transaction: short enough that edits and use counts get in between."""


def unfinished_rows(db: sqlite3.Connection, release: Release) -> int:
    """How many rows an unfinished load of this release has stored."""
    found = unfinished(db, release)
    return found[1] if found else 0


def unfinished(db: sqlite3.Connection, release: Release) -> tuple[int, int] | None:
    """Key and row count of this release's unfinished load."""
    row = db.execute(
        "SELECT key, (SELECT coalesce(max(position) + 1, 0) FROM release_revisions "
        "WHERE release_key = key) FROM releases WHERE NOT complete AND name = ? "
        "AND checksum = ? AND embedding_checksum = ? AND entries = ? AND dimension = ?",
        (
            release.name,
            release.checksum,
            release.embedding_checksum,
            release.entries,
            release.dimension,
        ),
    ).fetchone()
    return row and (int(row[0]), int(row[1]))


def remove_unfinished(db: sqlite3.Connection, *, but: Release | None = None) -> None:
    """Removes what loads left unfinished; the caller holds the writer's lock."""
    keep = unfinished(db, but) if but else None
    for (release_key,) in db.execute("SELECT key FROM releases WHERE NOT complete").fetchall():
        if keep and release_key == keep[0]:
            continue
        while _remove_last_rows(db, release_key):
            pass
        with transaction(db):
            db.execute("DELETE FROM releases WHERE key = ?", (release_key,))


def _remove_last_rows(db: sqlite3.Connection, release_key: int) -> bool:
    """Removes a batch from the end, so that the rest is still a beginning if this is killed."""
    keys = [
        key
        for (key,) in db.execute(
            "SELECT revision_key FROM release_revisions WHERE release_key = ? "
            "ORDER BY position DESC LIMIT ?",
            (release_key, BATCH),
        )
    ]
    unused = (
        f"IN ({marks(keys)}) AND key NOT IN (SELECT revision_key FROM release_revisions "  # noqa: S608
        f"WHERE revision_key = key) AND key NOT IN (SELECT revision_key FROM edits)"
    )
    with transaction(db):
        db.execute(
            f"DELETE FROM release_revisions WHERE release_key = ? "  # noqa: S608
            f"AND revision_key IN ({marks(keys)})",
            (release_key, *keys),
        )
        rows = db.execute(f"SELECT key, entry_id FROM revisions WHERE key {unused}", keys)  # noqa: S608
        for key, entry_id in rows.fetchall():
            db.execute("DELETE FROM vectors WHERE revision_key = ?", (key,))
            db.execute("DELETE FROM revisions WHERE key = ?", (key,))
            db.execute(
                "DELETE FROM entries WHERE id = ? "
                "AND NOT EXISTS (SELECT 1 FROM revisions WHERE entry_id = ?)",
                (entry_id, entry_id),
            )
    return bool(keys)
