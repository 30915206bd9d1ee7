"""Storing a dump as a release: in many transactions, invisible until the last."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable

import structlog

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.records import Entry
from services.knowledge.neo4j import queries
from services.knowledge.neo4j.claims import (
    Claim,
    abandon,
    claim_load,
    kept,
    let_go,
    remove_abandoned,
)
from services.knowledge.neo4j.connection import BULK_TIMEOUT_S, Connection, Transaction
from services.knowledge.neo4j.rows import release_properties
from services.knowledge.neo4j.writing import Batch, Feed
from services.knowledge.protocol import Release, Vector

_POLL_S = 0.1

_log = structlog.get_logger()


async def load(
    connection: Connection,
    release: Release,
    rows: Iterable[tuple[Entry, Vector]],
    *,
    already: int = 0,
) -> None:
    """Stores a release; see `KnowledgeStore.load`.

    Indexes are built after the rows: fed row by row they would take several times as long.
    """
    claim = await claim_load(connection, release)
    if claim is None:
        return
    try:
        async with kept(connection, claim):
            await remove_abandoned(connection)
            started = time.perf_counter()
            await _write(connection, release, rows, claim=claim, already=already)
            stored = time.perf_counter()
            await _index(connection, claim.space, release.dimension)
            await _finish(connection, release, claim)
            _log.info(
                "knowledge_release_stored",
                release=release.name,
                rows=release.entries,
                went_on_from=claim.written,
                rows_seconds=round(stored - started, 3),
                index_seconds=round(time.perf_counter() - stored, 3),
            )
    except ConfigurationError:
        await abandon(connection, claim)
        raise
    except BaseException:
        with contextlib.suppress(KnowledgeUnavailableError):
            await let_go(connection, claim)
        raise


async def loaded_rows(connection: Connection, release: Release) -> int:
    """How many rows an unfinished load of this release has stored."""
    rows = await connection.read(queries.LOADED_ROWS, **release_properties(release))
    return int(rows[0]["written"]) if rows else 0


async def _write(
    connection: Connection,
    release: Release,
    rows: Iterable[tuple[Entry, Vector]],
    *,
    claim: Claim,
    already: int,
) -> None:
    if already > claim.written:
        raise connection.unavailable(
            f"of release {release.name!r} {claim.written} rows are stored, not {already}: another "
            f"load came between. Load it again."
        )
    feed = Feed(release, rows, last_id=claim.last_id if already == claim.written else "")

    def coming() -> asyncio.Task[Batch]:
        taking = asyncio.create_task(asyncio.to_thread(feed.take, space=claim.space))
        # Nobody awaits the last one when the load fails.
        taking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return taking

    try:
        there = await asyncio.to_thread(feed.skip, claim.written - already)
        position = already + there
        # The next batch is made in a thread while the server writes this one.
        taking = coming()
        while (batch := await taking).count:
            taking = coming()
            await _write_batch(connection, batch, claim, position)
            position += batch.count
    finally:
        feed.stop()
    if position != release.entries:
        raise ConfigurationError(
            f"release {release.name!r} says {release.entries} entries, but brought {position}."
        )


async def _write_batch(connection: Connection, batch: Batch, claim: Claim, start: int) -> None:
    async def write(transaction: Transaction) -> bool:
        advanced = await transaction.run(
            queries.ADVANCE,
            name=claim.name,
            writer=claim.writer,
            start=start,
            count=batch.count,
            last_id=batch.last_id,
            linked=batch.is_linked,
        )
        row = await advanced.single()
        if row is not None and row["is_next"]:
            await batch.write(transaction)
        return row is not None and row["is_ours"]

    if not await connection.write(write, timeout_s=BULK_TIMEOUT_S):
        raise _taken_over(connection, claim)


async def _index(connection: Connection, space: int, dimension: int) -> None:
    """Builds a space's indexes, and waits until they are complete."""
    for statement in queries.create_indexes(space, dimension):
        await connection.run(statement)
    names = queries.index_names(space)
    while True:
        states = await connection.read(queries.INDEX_STATES, names=names)
        failed = [row["failureMessage"] for row in states if row["state"] == "FAILED"]
        if failed:
            raise connection.unavailable(f"an index could not be built: {failed[0]}")
        if len(states) == len(names) and all(row["state"] == "ONLINE" for row in states):
            return
        await asyncio.sleep(_POLL_S)


async def _finish(connection: Connection, release: Release, claim: Claim) -> None:
    async def finish(transaction: Transaction) -> bool:
        turn = await (await transaction.run(queries.CLAIM_LOADS)).single(strict=True)
        finished = await transaction.run(
            queries.FINISH,
            name=claim.name,
            writer=claim.writer,
            release=release_properties(release),
            sequence=turn["number"],
            at=time.time(),
        )
        return await finished.single() is not None

    if not await connection.write(finish):
        raise _taken_over(connection, claim)


def _taken_over(connection: Connection, claim: Claim) -> Exception:
    return connection.unavailable(
        f"another process has taken over the load of release {claim.name!r}."
    )
