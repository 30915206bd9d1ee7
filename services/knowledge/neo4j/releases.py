"""Reading releases, and choosing the one that searches see."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from services.common.errors import ConfigurationError, ReleaseNotFoundError
from services.common.records import Authorship, Entry
from services.knowledge.neo4j import queries
from services.knowledge.neo4j.connection import Connection, Transaction
from services.knowledge.neo4j.rows import entry_of, release_of, vector_of
from services.knowledge.protocol import Release, Vector

_PAGE = 1000
_CHECKSUM_PAGE = 20_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A complete release, and where it is: its space, and its number in there."""

    release: Release
    space: int
    number: int

    @property
    def place(self) -> dict[str, int]:
        """As parameters of a query."""
        return {"space": self.space, "number": self.number}


async def complete_release(connection: Connection, name: str) -> Stored:
    """Finds a release. Raises: ReleaseNotFoundError."""
    rows = await connection.read(queries.RELEASE, name=name)
    if not rows:
        raise ReleaseNotFoundError(f"there is no release {name!r}.")
    return Stored(release_of(rows[0]["release"]), rows[0]["space"], rows[0]["number"])


async def stored_release(transaction: Transaction, release: Release) -> Release | None:
    """The complete release of that name, if there is one.

    Raises: ConfigurationError when it holds other entries or vectors.
    """
    found = await (await transaction.run(queries.RELEASE, name=release.name)).single()
    if found is None:
        return None
    stored = release_of(found["release"])
    if stored.checksum != release.checksum:
        raise ConfigurationError(
            f"release {release.name!r} is already loaded with other entries; a release never "
            f"changes, so give this one another name."
        )
    if stored.embedding_checksum != release.embedding_checksum:
        raise ConfigurationError(
            f"release {release.name!r} is already loaded with vectors of "
            f"{stored.embedding_model}; to use {release.embedding_model}, load the same entries "
            f"under another name."
        )
    return stored


async def active_release(connection: Connection) -> Release | None:
    """The release that searches see."""
    rows = await connection.read(queries.ACTIVE)
    return release_of(rows[0]["release"]) if rows else None


async def previous_release(connection: Connection) -> Release | None:
    """The release that `roll_back` would go back to, or None."""
    rows = await connection.read(queries.PREVIOUS)
    return release_of(rows[0]["release"]) if rows else None


async def complete_releases(connection: Connection) -> tuple[Release, ...]:
    """Every complete release, oldest first."""
    return tuple(release_of(row["release"]) for row in await connection.read(queries.RELEASES))


async def entries(connection: Connection, name: str) -> AsyncIterator[tuple[Entry, Vector]]:
    """Every entry of a release with its vector, a page at a time."""
    stored = await complete_release(connection, name)
    after = ""
    while True:
        page = await connection.read(queries.ENTRIES, after=after, limit=_PAGE, **stored.place)
        for row in page:
            yield entry_of(row["entry"]), vector_of(row["vector"])
        if len(page) < _PAGE:
            return
        after = page[-1]["entry"]["entry_id"]


async def checksums(connection: Connection, stored: Stored) -> dict[str, str]:
    """The checksum of each entry of a release, by id in order."""
    found: dict[str, str] = {}
    after = ""
    while True:
        rows = await connection.read(
            queries.CHECKSUMS, after=after, limit=_CHECKSUM_PAGE, **stored.place
        )
        ids = rows[0]["ids"]
        found.update(zip(ids, rows[0]["checksums"], strict=True))
        if len(ids) < _CHECKSUM_PAGE:
            return found
        after = ids[-1]


async def released(connection: Connection, name: str, ids: Iterable[str]) -> tuple[Entry, ...]:
    """What a release holds of these entries."""
    stored = await complete_release(connection, name)
    rows = await connection.read(queries.RELEASED, ids=sorted(set(ids)), **stored.place)
    return tuple(sorted((entry_of(row["entry"]) for row in rows), key=lambda entry: entry.id))


async def rules(connection: Connection, name: str) -> tuple[Entry, ...]:
    """Every rule of a release."""
    stored = await complete_release(connection, name)
    rows = await connection.read(queries.RULES, **stored.place)
    return tuple(entry_of(row["entry"]) for row in rows)


async def relations(connection: Connection, name: str) -> frozenset[str]:
    """The relations that the facts of a release have."""
    stored = await complete_release(connection, name)
    rows = await connection.read(queries.RELATIONS, **stored.place)
    return frozenset(row["relation"] for row in rows)


async def activate(connection: Connection, name: str, author: Authorship) -> Release:
    """Makes a complete release the active one; see `KnowledgeStore.activate`."""
    found = await _switch(connection, queries.ACTIVATE, author, name=name)
    if found is None:
        raise ReleaseNotFoundError(f"there is no release {name!r}.")
    return found


async def roll_back(connection: Connection, author: Authorship) -> Release:
    """Goes back to the release before; see `KnowledgeStore.roll_back`."""
    found = await _switch(connection, queries.ROLL_BACK, author)
    if found is None:
        raise ReleaseNotFoundError("there is no release to go back to.")
    return found


async def _switch(
    connection: Connection, query: str, author: Authorship, **parameters: Any
) -> Release | None:
    """Runs a switch once, also when its transaction is run twice; None if there is no target."""
    token = uuid.uuid4().hex
    activation = {
        "token": token,
        "actor": author.actor,
        "reason": author.reason,
        "batch": author.batch,
        "at": time.time(),
    }

    async def switch(transaction: Transaction) -> Release | None:
        held = await (await transaction.run(queries.LOCK_ACTIVE)).single(strict=True)
        if held["token"] == token:
            return release_of(held["release"])
        switched = await transaction.run(query, activation=activation, **parameters)
        row = await switched.single()
        return release_of(row["release"]) if row is not None else None

    return await connection.write(switch)
