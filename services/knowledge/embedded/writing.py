"""Writes releases into the embedded store's file, all or nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import islice, takewhile
from pathlib import Path

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.records import Entry
from services.knowledge.checksums import combined_checksum
from services.knowledge.embedded.leftovers import BATCH, remove_unfinished, unfinished
from services.knowledge.embedded.release_rows import (
    fitting,
    insert_release,
    stored_release,
    write_content,
)
from services.knowledge.embedded.schema import connect, transaction, writer_lock
from services.knowledge.protocol import Release, Vector


def write_release(
    path: Path,
    release: Release,
    rows: Iterable[tuple[Entry, Vector]],
    *,
    already: int = 0,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Stores a release; see `KnowledgeStore.load`.

    Rows are taken a few at a time and written in short transactions under a release that
    is marked incomplete; the last transaction marks it complete. What a stopped or killed
    load left behind is never visible. The next load goes on from there if it is of the same
    release, and removes it otherwise.

    Args:
        path: the store's file.
        release: what to store.
        rows: its entries and their vectors, in order; taken as they are written.
        already: how many of its first entries `rows` leaves out.
        stopped: asked after each row; once true, the load ends, and keeps what it has.
    """
    with closing(connect(path)) as db:
        if stored_release(db, release):
            return
        with writer_lock(path, given_up=stopped):
            if stored_release(db, release):
                return
            remove_unfinished(db, but=release)
            try:
                _write(db, release, rows, already=already, stopped=stopped, path=path)
            except ConfigurationError:
                remove_unfinished(db)
                raise


def _write(
    db: sqlite3.Connection,
    release: Release,
    rows: Iterable[tuple[Entry, Vector]],
    *,
    already: int,
    stopped: Callable[[], bool],
    path: Path,
) -> None:
    if found := unfinished(db, release):
        release_key, stored = found
    else:
        with transaction(db):
            release_key, stored = insert_release(db, release), 0
    if already > stored:
        raise KnowledgeUnavailableError(
            f"knowledge base {path}: of release {release.name!r} {stored} rows are stored, not "
            f"{already}: another load came between. Load it again."
        )
    last = db.execute(
        "SELECT r.entry_id FROM release_revisions AS m JOIN revisions AS r ON r.key = "
        "m.revision_key WHERE m.release_key = ? AND m.position = ?",
        (release_key, already - 1),
    ).fetchone()
    position = already
    checked = fitting(release, rows, last=last[0] if last else "")
    # Taken outside the transaction: the rows are embedded while they are taken.
    taken = takewhile(lambda _: not stopped(), checked)
    while batch := list(islice(taken, BATCH)):
        with transaction(db):
            for row in batch:
                if position >= stored:
                    key = write_content(db, row, release.embedding_checksum)
                    db.execute(
                        "INSERT INTO release_revisions VALUES (?, ?, ?)",
                        (release_key, position, key),
                    )
                position += 1
    if stopped():
        raise KnowledgeUnavailableError(f"knowledge base {path}: the load was cancelled.")
    if position != release.entries:
        raise ConfigurationError(
            f"release {release.name!r} says {release.entries} entries, but brought {position}."
        )
    checksums = db.execute(
        "SELECT r.checksum FROM release_revisions AS m JOIN revisions AS r "
        "ON r.key = m.revision_key WHERE m.release_key = ? ORDER BY m.position",
        (release_key,),
    )
    if combined_checksum(checksum for (checksum,) in checksums) != release.checksum:
        raise ConfigurationError(
            f"release {release.name!r} brought other entries than its checksum stands for."
        )
    with transaction(db):
        db.execute(
            "UPDATE releases SET complete = 1, provenance = ?, parent = ?, description = ?, "
            "loaded_at = ? WHERE key = ?",
            (
                release.provenance,
                release.parent,
                release.description,
                time.time(),
                release_key,
            ),
        )
