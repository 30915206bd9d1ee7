"""The Neo4j store: releases, edits and the graph on a server that several processes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from services.common.errors import ConfigurationError
from services.common.records import Authorship, Entry, Revision
from services.common.settings import KnowledgeSettings, Settings
from services.knowledge.neo4j import deriving, editing, loading, releases, searching
from services.knowledge.neo4j.connection import Connection
from services.knowledge.neo4j.migrations import migrate
from services.knowledge.neo4j.uses import UseCounts
from services.knowledge.protocol import (
    Change,
    EntryFilter,
    KnowledgeQuery,
    Lookup,
    Page,
    PoolUse,
    Release,
    Uses,
    Vector,
)
from services.knowledge.ranking import LEXICAL, VECTOR


class Neo4jStore:
    """A `KnowledgeStore` on a Neo4j server, 5.26 or newer; what the methods promise stands there.

    The server is called at the first use, and belongs to the event loop of that use. Its
    schema is brought up to date before the first write. `queries` says how the graph is laid
    out. Any number of processes may use one database; loads of one release take turns.

    Args:
        settings: of the knowledge base: the server, and the weights of the fusion.

    Raises:
        ConfigurationError: both weights are 0.
    """

    def __init__(self, settings: KnowledgeSettings) -> None:
        if not settings.lexical_weight and not settings.vector_weight:
            raise ConfigurationError(
                "knowledge.lexical_weight and knowledge.vector_weight are both 0: "
                "nothing would ever be found."
            )
        self._connection = Connection.from_settings(settings)
        weights = {LEXICAL: settings.lexical_weight, VECTOR: settings.vector_weight}
        self._search = searching.Search(self._connection, weights)
        self._uses = UseCounts(self._writable)
        self._migrating = asyncio.Lock()
        self._is_migrated = False

    @classmethod
    def from_settings(cls, settings: Settings) -> Neo4jStore:
        """The store that the settings name. No server is called yet."""
        return cls(settings.knowledge)

    @property
    def pool_use(self) -> PoolUse:
        """The connections to the server; see `PooledStore`."""
        return self._connection.pool_use

    async def search(self, query: KnowledgeQuery, vector: Vector) -> Lookup:
        """Finds entries in the active release."""
        return await self._search.search(query, vector)

    async def facts(self, relations: Iterable[str], limit: int) -> tuple[Entry, ...]:
        """Facts of the active release with one of these relations."""
        return await searching.facts(self._connection, relations, limit)

    async def active_release(self) -> Release | None:
        """The release that searches see."""
        return await releases.active_release(self._connection)

    async def previous_release(self) -> Release | None:
        """The release that `roll_back` would go back to, or None."""
        return await releases.previous_release(self._connection)

    async def releases(self) -> tuple[Release, ...]:
        """Every complete release, oldest first."""
        return await releases.complete_releases(self._connection)

    def entries(self, release: str) -> AsyncIterator[tuple[Entry, Vector]]:
        """Every entry of a release with its vector; read a page at a time."""
        return releases.entries(self._connection, release)

    async def released(self, release: str, entry_ids: Iterable[str]) -> tuple[Entry, ...]:
        """What a release holds of these entries."""
        return await releases.released(self._connection, release, entry_ids)

    async def rules(self, release: str) -> tuple[Entry, ...]:
        """Every rule of a release."""
        return await releases.rules(self._connection, release)

    async def relations(self, release: str) -> frozenset[str]:
        """The relations that the facts of a release have."""
        return await releases.relations(self._connection, release)

    async def load(
        self, release: Release, rows: Iterable[tuple[Entry, Vector]], *, already: int = 0
    ) -> None:
        """Stores a release. `rows` is consumed in threads; a cancelled load ends soon."""
        await loading.load(await self._writable(), release, rows, already=already)

    async def loaded_rows(self, release: Release) -> int:
        """How many of the release's first entries an unfinished load has stored."""
        return await loading.loaded_rows(self._connection, release)

    async def derive(
        self,
        name: str,
        base: str,
        changed: Sequence[tuple[Entry, Vector]],
        removed: Iterable[str],
        provenance: str,
    ) -> Release:
        """Stores a new release made from another."""
        connection = await self._writable()
        return await deriving.derive(
            connection, name, base, changed=changed, removed=removed, provenance=provenance
        )

    async def activate(self, name: str, author: Authorship) -> Release:
        """Makes a release the active one; the next search of any process sees it."""
        return await releases.activate(await self._writable(), name, author)

    async def roll_back(self, author: Authorship) -> Release:
        """Goes back to the release before; the next search of any process sees it."""
        return await releases.roll_back(await self._writable(), author)

    async def record_use(self, entry_ids: Sequence[str]) -> None:
        """Notes uses in memory; they are written within half a second."""
        self._connection.check_open()
        self._uses.add(entry_ids, "retrieved")

    async def record_outcome(self, entry_ids: Sequence[str], *, right: bool) -> None:
        """Notes outcomes in memory; they are written within half a second."""
        self._connection.check_open()
        self._uses.add(entry_ids, "right" if right else "wrong")

    async def use_counts(self, entry_ids: Sequence[str]) -> dict[str, Uses]:
        """How often each entry was used, what this object has not written yet included."""
        return await self._uses.read(entry_ids)

    async def newest(self, entry_id: str) -> Revision:
        """An entry's newest revision."""
        return await editing.newest(self._connection, entry_id)

    async def history(self, entry_id: str) -> tuple[Revision, ...]:
        """Every revision of an entry."""
        return await editing.history(self._connection, entry_id)

    async def find(self, wanted: EntryFilter) -> Page:
        """Lists entries by their newest revision. Takes a look at each of them."""
        return await editing.find(self._connection, wanted)

    async def append(self, changes: Sequence[Change]) -> None:
        """Adds revisions, all or none."""
        await editing.append(await self._writable(), changes)

    async def batch(self, name: str) -> tuple[Revision, ...]:
        """Every edit of a batch."""
        return await editing.batch(self._connection, name)

    async def edits(self) -> tuple[Revision, ...]:
        """Of each edited entry the last edit that was accepted or retired."""
        return await editing.edits(self._connection)

    async def close(self) -> None:
        """Writes what uses are left, closes the connections."""
        if self._connection.is_closed:
            return
        try:
            await self._uses.close()
        finally:
            await self._connection.close()

    async def _writable(self) -> Connection:
        """The connection, after the schema was brought up to date."""
        if not self._is_migrated:
            async with self._migrating:
                await migrate(self._connection)
                self._is_migrated = True
        return self._connection
