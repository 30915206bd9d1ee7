"""Making a release from another: in one transaction, as large as what changed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from services.common.errors import ConfigurationError
from services.common.records import Entry
from services.knowledge.checksums import combined_checksum, entry_checksum
from services.knowledge.neo4j import queries
from services.knowledge.neo4j.connection import BULK_TIMEOUT_S, Connection, Transaction
from services.knowledge.neo4j.releases import Stored, checksums, complete_release, stored_release
from services.knowledge.neo4j.rows import Properties, entry_of, release_properties, vector_of
from services.knowledge.neo4j.writing import BATCH, Batch, batch_of, check_vector
from services.knowledge.protocol import Release, Vector


async def derive(
    connection: Connection,
    name: str,
    base: str,
    *,
    changed: Sequence[tuple[Entry, Vector]],
    removed: Iterable[str],
    provenance: str,
) -> Release:
    """Stores a release made from another; see `KnowledgeStore.derive`.

    The release is added to the space of its base under the next number. The space's indexes
    follow in the same transaction, so it is searchable at once, and its memory at the server
    bounds how much can change in one go (tens of thousands of entries).
    """
    stored = await complete_release(connection, base)
    held = await checksums(connection, stored)
    wanted = dict(held)
    for entry_id in removed:
        wanted.pop(entry_id, None)
    brought: dict[str, tuple[Entry, Vector]] = {}
    for entry, vector in changed:
        if entry.id in brought:
            raise ConfigurationError(f"release {name!r} holds entry {entry.id!r} twice.")
        brought[entry.id] = entry, vector
        wanted[entry.id] = entry_checksum(entry)
    derived = replace(
        stored.release,
        name=name,
        checksum=combined_checksum(checksum for _, checksum in sorted(wanted.items())),
        entries=len(wanted),
        provenance=provenance,
        parent=base,
        description="",
    )
    for entry, vector in changed:
        check_vector(derived, entry, vector)
    different = {
        entry_id
        for entry_id in held.keys() | wanted.keys()
        if held.get(entry_id) != wanted.get(entry_id)
    }
    new = [row for entry_id, row in sorted(brought.items()) if entry_id in different]
    writer = uuid.uuid4().hex

    async def write(transaction: Transaction) -> Release:
        await transaction.run(queries.LOCK_SPACE, space=stored.space, writer=writer)
        turn = await (await transaction.run(queries.CLAIM_LOADS)).single(strict=True)
        if there := await stored_release(transaction, derived):
            return there
        if await (await transaction.run(queries.UNFINISHED, name=name, lease_ms=0)).single():
            raise ConfigurationError(
                f"release {name!r} is being loaded; give this one another name."
            )
        number, returned = await _return_to(transaction, stored, leave_out=different)
        await transaction.run(
            queries.END_REVISIONS,
            space=stored.space,
            ids=sorted(different & held.keys()),
            number=number,
            forever=queries.FOREVER,
        )
        batches = list(_batches(returned + new, space=stored.space, since=number))
        for batch in batches:
            await batch.write(transaction)
        await transaction.run(
            queries.CREATE_DERIVED,
            release=release_properties(derived),
            base=base,
            number=number,
            linked=any(batch.is_linked for batch in batches),
            created=len(returned) + len(new),
            sequence=turn["number"],
            at=time.time(),
            space=stored.space,
        )
        return derived

    return await connection.write(write, timeout_s=BULK_TIMEOUT_S)


async def _return_to(
    transaction: Transaction, base: Stored, *, leave_out: set[str]
) -> tuple[int, list[tuple[Entry, Vector]]]:
    """Undoes in the space what came after the base.

    Returns: the new release's number, and the base's entries that have to be stored again,
        but for those left out.
    """
    row = await (await transaction.run(queries.NEWEST_NUMBER, space=base.space)).single(strict=True)
    number = row["number"] + 1
    if number == base.number + 1:
        return number, []
    bounds: Properties = {"base": base.number, "forever": queries.FOREVER}
    found = await transaction.run(queries.bring_back_from_base(base.space), **bounds)
    returned = [(entry_of(row["entry"]), vector_of(row["vector"])) async for row in found]
    await transaction.run(
        queries.end_what_base_lacks(base.space), **bounds, space=base.space, number=number
    )
    return number, [row for row in returned if row[0].id not in leave_out]


def _batches(rows: Sequence[tuple[Entry, Vector]], *, space: int, since: int) -> Iterator[Batch]:
    for start in range(0, len(rows), BATCH):
        yield batch_of(rows[start : start + BATCH], space=space, since=since)
