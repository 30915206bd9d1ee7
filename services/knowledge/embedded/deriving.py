"""Makes a release of another one in the embedded store's file."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from services.common.records import Entry
from services.knowledge.checksums import combined_checksum, entry_checksum
from services.knowledge.embedded.release_rows import (
    fitting,
    insert_release,
    stored_release,
    write_content,
)
from services.knowledge.embedded.releases import complete_release
from services.knowledge.embedded.schema import connect, transaction
from services.knowledge.protocol import Release, Vector


def derive_release(
    path: Path,
    release: tuple[str, str, str],
    changed: Sequence[tuple[Entry, Vector]],
    removed: Iterable[str],
) -> Release:
    """Stores a release made from another; see `KnowledgeStore.derive`.

    What it holds is worked out beside other writers, since releases never change, and
    written in one transaction.

    Args:
        path: the store's file.
        release: name, base and provenance.
        changed: entries to add or to put in the place of those with their ids.
        removed: ids to leave out.
    """
    name, base, provenance = release
    changed = sorted(changed, key=lambda row: row[0].id)
    with closing(connect(path)) as db:
        parent_key, parent = complete_release(db, base)
        gone = {*removed, *(entry.id for entry, _ in changed)}
        kept = (
            row
            for row in db.execute(
                "SELECT r.entry_id, r.key, r.checksum FROM release_revisions AS m "
                "JOIN revisions AS r ON r.key = m.revision_key "
                "WHERE m.release_key = ? ORDER BY m.position",
                (parent_key,),
            )
            if row[0] not in gone
        )
        # Of changed entries the place in `changed`, below 0: they have no key yet.
        added = (
            (entry.id, place, entry_checksum(entry))
            for place, (entry, _) in enumerate(changed, start=-len(changed))
        )
        keys = array("q")

        def checksums() -> Iterator[str]:
            for _, key, checksum in heapq.merge(kept, added):
                keys.append(key)
                yield checksum

        checksum = combined_checksum(checksums())
        derived = Release(
            name=name,
            checksum=checksum,
            entries=len(keys),
            embedding_model=parent.embedding_model,
            embedding_checksum=parent.embedding_checksum,
            dimension=parent.dimension,
            provenance=provenance,
            parent=base,
        )
        for _ in fitting(derived, changed):
            pass
        with transaction(db):
            if stored := stored_release(db, derived):
                return stored
            new_keys = [write_content(db, row, derived.embedding_checksum) for row in changed]
            release_key = insert_release(db, derived, complete=True)
            db.executemany(
                "INSERT INTO release_revisions VALUES (?, ?, ?)",
                (
                    (release_key, position, key if key >= 0 else new_keys[key])
                    for position, key in enumerate(keys)
                ),
            )
        return derived
