"""The embedded store's edits: what people changed, and the newest revision of every entry."""

from __future__ import annotations

import heapq
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from services.common.errors import EditConflictError, EntryExistsError, EntryNotFoundError
from services.common.records import Action, Authorship, EntryKind, EntryStatus, Revision
from services.knowledge.checksums import etag
from services.knowledge.content import read_body
from services.knowledge.embedded.rows import ENTRY, ENTRY_WIDTH, entry_of, marks, write_revision
from services.knowledge.embedded.schema import transaction
from services.knowledge.protocol import Change, EntryFilter, Page

_EDITED = (
    f"SELECT {ENTRY}, e.status, e.action, e.actor, e.reason, e.batch, e.at, e.redirect_to "  # noqa: S608
    "FROM edits AS e JOIN revisions AS r ON r.key = e.revision_key"
)

# The release that brought a revision first stands for all that hold it.
_LOADED = (
    f"SELECT {ENTRY}, 'accepted', 'loaded', l.provenance, l.name, '', l.loaded_at, '' "  # noqa: S608
    "FROM revisions AS r JOIN releases AS l ON l.key = "
    "(SELECT min(m.release_key) FROM release_revisions AS m "
    "JOIN releases AS c ON c.key = m.release_key AND c.complete WHERE m.revision_key = r.key)"
)

_NEWEST = """
    SELECT e.entry_id, r.key, r.kind, r.task, e.status, e.batch, r.question, r.body
    FROM heads AS e CROSS JOIN revisions AS r ON r.key = e.revision_key
    UNION ALL
    SELECT r.entry_id, r.key, r.kind, r.task, 'accepted', '', r.question, r.body
    FROM active_release AS a JOIN release_revisions AS m ON m.release_key = a.release_key
    JOIN revisions AS r ON r.key = m.revision_key
    WHERE NOT EXISTS (SELECT 1 FROM edits AS e WHERE e.entry_id = r.entry_id)
"""


def newest(db: sqlite3.Connection, entry_id: str) -> Revision:
    """An entry's newest revision; see `KnowledgeStore`."""
    found = _newest(db, entry_id)
    if found is None:
        raise EntryNotFoundError(f"there is no entry {entry_id!r}.")
    return found


def _newest(db: sqlite3.Connection, entry_id: str) -> Revision | None:
    row = db.execute(
        f"{_EDITED} WHERE e.entry_id = ? ORDER BY e.revision DESC LIMIT 1", (entry_id,)
    ).fetchone()
    row = (
        row
        or db.execute(
            f"{_LOADED} WHERE r.entry_id = ? AND EXISTS (SELECT 1 FROM active_release AS a "  # noqa: S608
            "JOIN release_revisions AS m ON m.release_key = a.release_key "
            "AND m.revision_key = r.key)",
            (entry_id,),
        ).fetchone()
    )
    return row and _revision(row)


def history(db: sqlite3.Connection, entry_id: str) -> tuple[Revision, ...]:
    """Every revision of an entry; see `KnowledgeStore`."""
    rows = db.execute(
        f"{_EDITED} WHERE e.entry_id = ? UNION ALL {_LOADED} WHERE r.entry_id = ? "  # noqa: S608
        "AND r.key NOT IN (SELECT revision_key FROM edits WHERE entry_id = ?)",
        (entry_id,) * 3,
    )
    revisions = sorted(map(_revision, rows), key=lambda step: (step.entry.revision, step.at))
    if not revisions:
        raise EntryNotFoundError(f"there is no entry {entry_id!r}.")
    return tuple(revisions)


def find(db: sqlite3.Connection, wanted: EntryFilter) -> Page:
    """A page of entries, and counts over all; see `KnowledgeStore`."""
    db.create_function("says", 4, _says(wanted.text), deterministic=True)
    kinds, statuses = sorted(wanted.kinds), sorted(wanted.statuses)
    rows = db.execute(
        f"SELECT entry_id, key, kind, status, task FROM ({_NEWEST}) "  # noqa: S608
        f"WHERE kind IN ({marks(kinds)}) AND status IN ({marks(statuses)}) "
        "AND (? = '' OR task = ?) AND (? = '' OR batch = ?) "
        "AND (? OR says(entry_id, question, kind, body))",
        (
            *kinds,
            *statuses,
            *[wanted.task] * 2,
            *[wanted.batch] * 2,
            not wanted.text.split(),
        ),
    )
    counts: Counter[tuple[str, str, str]] = Counter()

    def counted() -> Iterator[tuple[str, int]]:
        for entry_id, key, *facets in rows:
            counts[tuple(facets)] += 1
            if entry_id > wanted.after:
                yield entry_id, key

    page = heapq.nsmallest(wanted.limit + 1, counted())
    more, page = len(page) > wanted.limit, page[: wanted.limit]
    return Page(
        revisions=_by_key(db, [key for _, key in page]),
        total=counts.total(),
        facets=_facets(counts),
        next_after=page[-1][0] if more else "",
    )


def _says(text: str) -> Callable[[str, str, str, str], bool]:
    words = text.casefold().split()

    def says(entry_id: str, question: str, kind: str, body: str) -> bool:
        said = f"{entry_id}\n{question}\n{read_body(EntryKind(kind), body).text}".casefold()
        return all(word in said for word in words)

    return says


def _facets(counts: Counter[tuple[str, str, str]]) -> dict[str, dict[str, int]]:
    facets: dict[str, Counter[str]] = {name: Counter() for name in ("kind", "status", "task")}
    for values, count in sorted(counts.items()):
        for name, value in zip(facets, values, strict=True):
            facets[name][value] += count
    return {name: dict(of_name) for name, of_name in facets.items()}


def _by_key(db: sqlite3.Connection, keys: Sequence[int]) -> tuple[Revision, ...]:
    """Revisions by the keys of their content, in that order."""
    found = []
    for key in keys:
        row = db.execute(f"{_EDITED} WHERE e.revision_key = ?", (key,)).fetchone()
        row = row or db.execute(f"{_LOADED} WHERE r.key = ?", (key,)).fetchone()
        found.append(_revision(row))
    return tuple(found)


def append(db: sqlite3.Connection, changes: Sequence[Change]) -> None:
    """Adds revisions, all or none; see `KnowledgeStore`."""
    with transaction(db):
        for change in changes:
            _check(db, change)
            revision = change.revision
            db.execute(
                "INSERT INTO edits (entry_id, revision, revision_key, status, action, actor, "
                "reason, batch, at, redirect_to) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    revision.entry.id,
                    revision.entry.revision,
                    write_revision(db, revision.entry),
                    revision.status.value,
                    revision.action.value,
                    revision.author.actor,
                    revision.author.reason,
                    revision.author.batch,
                    revision.at,
                    revision.redirect_to,
                ),
            )


def _check(db: sqlite3.Connection, change: Change) -> None:
    """Refuses a change to another state of the entry than its newest."""
    entry = change.revision.entry
    now = _newest(db, entry.id)
    if now is None:
        if change.expected_etag:
            raise EntryNotFoundError(f"there is no entry {entry.id!r}.")
        return
    if not change.expected_etag:
        raise EntryExistsError(f"there is an entry {entry.id!r} already; its etag is {etag(now)}.")
    taken = now.action is not Action.LOADED and entry.revision <= now.entry.revision
    if taken or change.expected_etag != etag(now):
        raise EditConflictError.of_entry(entry.id, etag=etag(now), expected=change.expected_etag)


def batch(db: sqlite3.Connection, name: str) -> tuple[Revision, ...]:
    """Every edit of a batch, in order; none of the batch ""."""
    rows = db.execute(
        f"{_EDITED} WHERE e.batch = ? AND e.batch <> '' ORDER BY e.key",
        (name,),
    )
    return tuple(map(_revision, rows))


def edits(db: sqlite3.Connection) -> tuple[Revision, ...]:
    """Of each edited entry the last edit that was accepted or retired; see `KnowledgeStore`."""
    rows = db.execute(
        f"{_EDITED} WHERE e.key IN (SELECT max(key) FROM edits "  # noqa: S608
        "WHERE status IN ('accepted', 'retired') GROUP BY entry_id) ORDER BY e.entry_id"
    )
    return tuple(map(_revision, rows))


def _revision(row: Sequence[Any]) -> Revision:
    status, action, actor, reason, batch_name, at, redirect_to = row[ENTRY_WIDTH:]
    return Revision(
        entry=entry_of(row[:ENTRY_WIDTH]),
        status=EntryStatus(status),
        action=Action(action),
        author=Authorship(actor, reason, batch_name),
        at=at,
        redirect_to=redirect_to,
    )
