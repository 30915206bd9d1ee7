"""Who loads a release: one process at a time, and another when that one dies."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.common.errors import KnowledgeUnavailableError
from services.knowledge.neo4j import queries
from services.knowledge.neo4j.connection import Connection, Transaction
from services.knowledge.neo4j.releases import stored_release
from services.knowledge.neo4j.rows import Properties, release_properties
from services.knowledge.protocol import Release

LEASE_S = 3.0
"""A load that was not heard of for so long is dead: another may go on with it."""

_BEAT_S = LEASE_S / 4
_POLL_S = 0.1
_LEASE_MS = int(LEASE_S * 1000)


@dataclass(frozen=True, slots=True)
class Claim:
    """A load that this process does.

    Attributes:
        name: of the release.
        writer: names this claim; each transaction of the load checks that it still holds.
        space: where the rows go.
        written: how many of them are there.
        last_id: of the last of them.
    """

    name: str
    writer: str
    space: int
    written: int
    last_id: str


async def claim_load(connection: Connection, release: Release) -> Claim | None:
    """Begins a load or goes on with a dead one, after waiting for a live one to end.

    What dead loads of other releases left is given up (`remove_abandoned`).

    Returns: None when the release is there.
    Raises: ConfigurationError when one of that name is there with other entries or vectors.
    """
    writer = uuid.uuid4().hex

    async def claim(transaction: Transaction) -> Claim | str | None:
        return await _claim(transaction, release, writer)

    while True:
        claimed = await connection.write(claim)
        if not isinstance(claimed, str):
            return claimed
        await asyncio.sleep(_POLL_S)


async def _claim(transaction: Transaction, release: Release, writer: str) -> Claim | str | None:
    """The claim; None if the release is there; who is at it if it is claimed."""
    turn = await (await transaction.run(queries.CLAIM_LOADS)).single(strict=True)
    name = release.name
    await transaction.run(queries.ABANDON_OTHERS, name=name, lease_ms=_LEASE_MS)
    if await stored_release(transaction, release):
        return None
    begun = await transaction.run(queries.UNFINISHED, name=name, lease_ms=_LEASE_MS)
    found = await begun.single()
    if found and found["is_alive"] and found["release"]["writer"] != writer:
        return str(found["release"]["writer"])
    if found is None or not _is_same(found["release"], release):
        await transaction.run(queries.ABANDON, name=name)
        await transaction.run(
            queries.BEGIN_RELEASE, number=turn["number"], release=release_properties(release)
        )
    taken = await transaction.run(queries.TAKE_OVER, name=name, writer=writer)
    row = await taken.single(strict=True)
    return Claim(name, writer, row["space"], row["written"], row["last_id"])


def _is_same(there: Properties, release: Release) -> bool:
    names = ("checksum", "entries", "embedding_checksum", "dimension")
    return all(there[name] == getattr(release, name) for name in names)


@asynccontextmanager
async def kept(connection: Connection, claim: Claim) -> AsyncIterator[None]:
    """Says now and then that the load is alive, while rows are slow or indexes are built."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            try:
                await _run(connection, queries.BEAT, name=claim.name, writer=claim.writer)
            except KnowledgeUnavailableError:
                continue  # the load itself will find out

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()


async def let_go(connection: Connection, claim: Claim) -> None:
    """Ends a claim: whoever loads the release next goes on with it at once."""
    await _run(connection, queries.LET_GO, name=claim.name, writer=claim.writer)


async def abandon(connection: Connection, claim: Claim) -> None:
    """Gives up a load, and removes what it wrote."""

    async def give_up(transaction: Transaction) -> None:
        await transaction.run(queries.CLAIM_LOADS)
        await transaction.run(queries.ABANDON_OWN, name=claim.name, writer=claim.writer)

    await connection.write(give_up)
    await remove_abandoned(connection)


async def remove_abandoned(connection: Connection) -> None:
    """Removes what loads wrote that were given up, unless another process is at it."""

    async def claim(transaction: Transaction) -> list[int]:
        await transaction.run(queries.CLAIM_LOADS)
        found = await transaction.run(queries.CLAIM_ABANDONED, lease_ms=_LEASE_MS)
        return [int(row["space"]) async for row in found]

    for space in await connection.write(claim):
        for statement in queries.drop_indexes(space):
            await connection.run(statement)
        await connection.run(queries.remove_revisions(space))
        await connection.run(queries.REMOVE_CONCEPTS, space=space)
        await _run(connection, queries.REMOVE_SPACE, space=space)


async def _run(connection: Connection, query: str, **parameters: Any) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.run(query, **parameters)

    await connection.write(work)
