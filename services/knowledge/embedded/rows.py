"""Entries as rows of the embedded store's tables."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from services.common.records import Entry, EntryKind
from services.knowledge.checksums import entry_checksum
from services.knowledge.content import read_body, write_body
from services.knowledge.protocol import Vector

_CHUNK = 500

_Value = TypeVar("_Value")

ENTRY = ", ".join(
    f"r.{column}"
    for column in (
        "entry_id",
        "revision",
        "kind",
        "task",
        "question",
        "body",
        "source",
        "provenance",
        "concepts",
    )
)
"""What `entry_of` reads, of `revisions AS r`."""

ENTRY_WIDTH = 9
"""How many columns that is."""


def entry_of(row: Sequence[Any]) -> Entry:
    """The entry in the columns ENTRY."""
    entry_id, revision, kind, task, question, body, source, provenance, concepts = row
    return Entry(
        id=entry_id,
        revision=revision,
        task=task,
        question=question,
        body=read_body(EntryKind(kind), body),
        source=source,
        provenance=provenance,
        concepts=tuple(json.loads(concepts)),
    )


def entries_by_key(db: sqlite3.Connection, keys: Sequence[int]) -> list[Entry]:
    """Entries by the keys of their revisions, in that order."""
    entries: dict[int, Entry] = {}
    for some in chunks(keys):
        rows = db.execute(
            f"SELECT r.key, {ENTRY} FROM revisions AS r WHERE r.key IN ({marks(some)})",  # noqa: S608
            some,
        )
        entries.update((key, entry_of(row)) for key, *row in rows)
    return [entries[key] for key in keys]


def write_revision(db: sqlite3.Connection, entry: Entry) -> int:
    """Writes an entry's content, unless it is there. Returns the revision's key."""
    db.execute("INSERT INTO entries VALUES (?) ON CONFLICT DO NOTHING", (entry.id,))
    checksum = entry_checksum(entry)
    db.execute(
        "INSERT INTO revisions (entry_id, revision, checksum, kind, task, question, body, source, "
        "provenance, concepts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            entry.id,
            entry.revision,
            checksum,
            entry.kind.value,
            entry.task,
            entry.question,
            write_body(entry.body),
            entry.source,
            entry.provenance,
            json.dumps(entry.concepts, ensure_ascii=False),
        ),
    )
    row = db.execute("SELECT key FROM revisions WHERE checksum = ?", (checksum,)).fetchone()
    return int(row[0])


def write_vector(
    db: sqlite3.Connection, revision_key: int, embedding_checksum: str, vector: Vector
) -> None:
    """Writes a revision's vector of one encoder, unless it is there."""
    db.execute(
        "INSERT INTO vectors VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (revision_key, embedding_checksum, np.asarray(vector, dtype=np.float32).tobytes()),
    )


def chunks(values: Iterable[_Value]) -> Iterator[list[_Value]]:
    """The values, a few hundred at a time: SQLite bounds the parameters of a statement."""
    rest = list(values)
    for start in range(0, len(rest), _CHUNK):
        yield rest[start : start + _CHUNK]


def marks(values: Sequence[object]) -> str:
    """A question mark per value, for a statement's IN."""
    return ", ".join("?" * len(values))
