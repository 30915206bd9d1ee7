"""Edits: what people changed, and the newest revision of every entry."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence

import neo4j

from services.common.errors import EditConflictError, EntryExistsError, EntryNotFoundError
from services.common.records import EntryStatus, Revision
from services.knowledge.checksums import entry_checksum
from services.knowledge.neo4j import queries
from services.knowledge.neo4j.connection import Connection, Transaction
from services.knowledge.neo4j.rows import Properties, edit_of, edit_properties, loaded_of
from services.knowledge.protocol import Change, EntryFilter, Page

_FACETS = ("kind", "status", "task")


async def newest(connection: Connection, entry_id: str) -> Revision:
    """An entry's newest revision."""
    rows = await connection.read(queries.NEWEST_EDIT, id=entry_id)
    if rows:
        return edit_of(rows[0]["entry"])
    rows = await connection.read(queries.NEWEST_LOADED, id=entry_id)
    if rows:
        return loaded_of(rows[0]["entry"], rows[0]["origin"])
    raise EntryNotFoundError(f"there is no entry {entry_id!r}.")


async def history(connection: Connection, entry_id: str) -> tuple[Revision, ...]:
    """Every revision of an entry.

    Content that an edit made, or an earlier release brought, stands once.
    """
    revisions: dict[str, Revision] = {}
    for row in await connection.read(queries.EDITS_OF_ENTRY, id=entry_id):
        revisions[row["checksum"]] = edit_of(row["entry"])
    for row in await connection.read(queries.LOADED_OF_ENTRY, id=entry_id):
        revisions.setdefault(row["checksum"], loaded_of(row["entry"], row["origin"]))
    if not revisions:
        raise EntryNotFoundError(f"there is no entry {entry_id!r}.")
    return tuple(sorted(revisions.values(), key=lambda step: (step.entry.revision, step.at)))


async def find(connection: Connection, wanted: EntryFilter) -> Page:
    """A page of entries, and counts over all. Looks at each entry."""
    asked = {
        "words": wanted.text.casefold().split(),
        "kinds": sorted(wanted.kinds),
        "statuses": sorted(wanted.statuses),
        "task": wanted.task,
        "batch": wanted.batch,
    }
    paged = asked | {"after": wanted.after, "limit": wanted.limit + 1}
    found = [edit_of(row["entry"]) for row in await connection.read(queries.FIND_EDITS, **paged)]
    asked["after"] = ""
    counted = await connection.read(queries.COUNT_EDITS, **asked)
    if EntryStatus.ACCEPTED in wanted.statuses and not wanted.batch:
        rows = await connection.read(queries.FIND_LOADED, **paged)
        found += [loaded_of(row["entry"], row["origin"]) for row in rows]
        counted += await connection.read(queries.COUNT_LOADED, **asked)
    found.sort(key=lambda revision: revision.entry.id)
    page = tuple(found[: wanted.limit])
    return Page(
        revisions=page,
        total=sum(row["number"] for row in counted),
        facets=_facets(counted),
        next_after=page[-1].entry.id if len(found) > wanted.limit else "",
    )


def _facets(counted: Sequence[neo4j.Record]) -> dict[str, dict[str, int]]:
    facets: dict[str, Counter[str]] = {name: Counter() for name in _FACETS}
    for row in counted:
        for name in _FACETS:
            facets[name][row[name]] += row["number"]
    return {name: dict(sorted(of_name.items())) for name, of_name in facets.items()}


async def append(connection: Connection, changes: Sequence[Change]) -> None:
    """Adds revisions, all or none; see `KnowledgeStore.append`."""
    call = uuid.uuid4().hex

    async def add(transaction: Transaction) -> None:
        turn = await (await transaction.run(queries.LOCK_EDITS)).single(strict=True)
        ids = sorted({change.revision.entry.id for change in changes})
        found = await transaction.run(queries.CURRENT_STATES, ids=ids)
        states = {row["id"]: row.data() async for row in found}
        if changes and all(state["call"] == call for state in states.values()):
            return  # committed, though the answer was lost
        position = turn["position"]
        edits = []
        for change in changes:
            _check(change, states)
            position += 1
            edits.append(edit_properties(change.revision, call=call, position=position))
        await transaction.run(queries.CREATE_EDITS, edits=edits, position=position)

    await connection.write(add)


def _check(change: Change, states: dict[str, Properties]) -> None:
    """Refuses a change to another state of the entry than its newest, and notes the new one."""
    entry = change.revision.entry
    state = states[entry.id]
    if state["revision"] is None:
        if change.expected_etag:
            raise EntryNotFoundError(f"there is no entry {entry.id!r}.")
    else:
        now = f"{state['revision']}-{state['checksum'][:16]}"
        if not change.expected_etag:
            raise EntryExistsError(f"there is an entry {entry.id!r} already; its etag is {now}.")
        taken = not state["is_loaded"] and entry.revision <= state["revision"]
        if taken or change.expected_etag != now:
            raise EditConflictError.of_entry(entry.id, etag=now, expected=change.expected_etag)
    states[entry.id] = state | {
        "revision": entry.revision,
        "checksum": entry_checksum(entry),
        "is_loaded": False,
    }


async def batch(connection: Connection, name: str) -> tuple[Revision, ...]:
    """Every edit of a batch, in order; none of the batch ""."""
    rows = await connection.read(queries.BATCH, batch=name) if name else []
    return tuple(edit_of(row["entry"]) for row in rows)


async def edits(connection: Connection) -> tuple[Revision, ...]:
    """Of each edited entry the last edit that was accepted or retired."""
    statuses = [EntryStatus.ACCEPTED, EntryStatus.RETIRED]
    rows = await connection.read(queries.FINISHED_EDITS, statuses=statuses)
    return tuple(sorted((edit_of(row["entry"]) for row in rows), key=lambda step: step.entry.id))
