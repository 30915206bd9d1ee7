"""Writes a release into the embedded store's file, all or nothing."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.records import Entry
from services.knowledge.checksums import entry_checksum
from services.knowledge.protocol import Release, Vector
from services.knowledge.schema import connect, transaction, writer_lock

BATCH = 256
"""Rows per transaction: short enough that use counts of other processes get in between."""


def write_release(
    path: Path,
    release: Release,
    rows: Iterable[tuple[Entry, Vector]],
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Stores a release; see `KnowledgeStore.load`.

    Rows are taken a few at a time and written in short transactions under a release that
    is marked incomplete; the last transaction marks it complete. What a killed process
    left behind is never visible, and the next load removes it.

    Args:
        path: the store's file.
        release: what to store.
        rows: its entries and their vectors, in order; taken as they are written.
        stopped: asked before each batch; once true, nothing is kept.
    """
    with closing(connect(path)) as db:
        if _is_loaded(db, release):
            return
        with writer_lock(path, given_up=stopped):
            _remove_incomplete(db)
            if _is_loaded(db, release):
                return
            try:
                _write(db, release, _checked(release, rows), stopped=stopped, path=path)
            except BaseException:
                _remove_incomplete(db)
                raise


def _is_loaded(db: sqlite3.Connection, release: Release) -> bool:
    row = db.execute(
        "SELECT checksum, embedding_model, embedding_checksum FROM releases "
        "WHERE name = ? AND complete",
        (release.name,),
    ).fetchone()
    if row is None:
        return False
    checksum, model, embedding_checksum = row
    if checksum != release.checksum:
        raise ConfigurationError(
            f"release {release.name!r} is already loaded with other entries; a release never "
            f"changes, so give this one another name."
        )
    if embedding_checksum != release.embedding_checksum:
        raise ConfigurationError(
            f"release {release.name!r} is already loaded with vectors of {model}; to use "
            f"{release.embedding_model}, load the same entries under another name."
        )
    return True


def _write(
    db: sqlite3.Connection,
    release: Release,
    rows: Iterator[tuple[Entry, Vector]],
    *,
    stopped: Callable[[], bool],
    path: Path,
) -> None:
    with transaction(db):
        release_key = db.execute(
            "INSERT INTO releases (name, checksum, entries, embedding_model, embedding_checksum, "
            "dimension, provenance, loaded_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING key",
            (
                release.name,
                release.checksum,
                release.entries,
                release.embedding_model,
                release.embedding_checksum,
                release.dimension,
                release.provenance,
                time.time(),
            ),
        ).fetchone()[0]
    position = 0
    # Taken outside the transaction: the rows are embedded while they are taken.
    while batch := list(islice(rows, BATCH)):
        if stopped():
            raise KnowledgeUnavailableError(f"knowledge base {path}: the load was cancelled.")
        with transaction(db):
            for entry, vector in batch:
                _write_row(
                    db,
                    entry,
                    vector,
                    place=(release_key, position),
                    embedding_checksum=release.embedding_checksum,
                )
                position += 1
    with transaction(db):
        db.execute("UPDATE releases SET complete = 1 WHERE key = ?", (release_key,))


def _write_row(
    db: sqlite3.Connection,
    entry: Entry,
    vector: Vector,
    *,
    place: tuple[int, int],
    embedding_checksum: str,
) -> None:
    """Writes one entry; `place` is the release's key and the entry's position in it."""
    db.execute("INSERT INTO entries VALUES (?) ON CONFLICT DO NOTHING", (entry.id,))
    checksum = entry_checksum(entry)
    body = {
        "learning_summary": entry.body.learning_summary,
        "supplementary_knowledge": entry.body.supplementary_knowledge,
    }
    db.execute(
        "INSERT INTO revisions (entry_id, revision, checksum, kind, task, question, body, source, "
        "provenance) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            entry.id,
            entry.revision,
            checksum,
            entry.kind.value,
            entry.task,
            entry.question,
            json.dumps(body, ensure_ascii=False),
            entry.source,
            entry.provenance,
        ),
    )
    revision_key = db.execute(
        "SELECT key FROM revisions WHERE checksum = ?", (checksum,)
    ).fetchone()[0]
    db.execute(
        "INSERT INTO vectors VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (revision_key, embedding_checksum, np.asarray(vector, dtype=np.float32).tobytes()),
    )
    db.execute("INSERT INTO release_revisions VALUES (?, ?, ?)", (*place, revision_key))


def _checked(
    release: Release, rows: Iterable[tuple[Entry, Vector]]
) -> Iterator[tuple[Entry, Vector]]:
    """Passes the rows on, and refuses those that do not fit the release."""
    seen: set[str] = set()
    for entry, vector in rows:
        if vector.shape != (release.dimension,):
            raise ConfigurationError(
                f"entry {entry.id!r} of release {release.name!r} has a vector of shape "
                f"{vector.shape}, expected ({release.dimension},)."
            )
        if entry.id in seen:
            raise ConfigurationError(f"release {release.name!r} holds entry {entry.id!r} twice.")
        seen.add(entry.id)
        yield entry, vector
    if len(seen) != release.entries:
        raise ConfigurationError(
            f"release {release.name!r} says {release.entries} entries, but brought {len(seen)}."
        )


def _remove_incomplete(db: sqlite3.Connection) -> None:
    """Removes what loads left unfinished; the caller holds the writer's lock."""
    if not db.execute("SELECT 1 FROM releases WHERE NOT complete").fetchone():
        return
    unused = "NOT IN (SELECT revision_key FROM release_revisions)"
    with transaction(db):
        db.execute(
            "DELETE FROM release_revisions WHERE release_key IN "
            "(SELECT key FROM releases WHERE NOT complete)"
        )
        db.execute("DELETE FROM releases WHERE NOT complete")
        db.execute(f"DELETE FROM vectors WHERE revision_key {unused}")  # noqa: S608
        db.execute(f"DELETE FROM revisions WHERE key {unused}")  # noqa: S608
        db.execute("DELETE FROM entries WHERE id NOT IN (SELECT entry_id FROM revisions)")
