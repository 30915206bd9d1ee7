"""What a store finds, and what it holds."""

from __future__ import annotations

from services.common.records import Entry
from services.knowledge.neo4j.store import Neo4jStore
from services.knowledge.protocol import KnowledgeQuery
from tests.contract.knowledge_store import vector


async def ids(store: Neo4jStore) -> list[str]:
    """The ids of the four entries that a question about apples finds, best first."""
    lookup = await store.search(KnowledgeQuery("apples", 4), vector("apples"))
    return [hit.entry.id for hit in lookup.found]


async def held_by(store: Neo4jStore, release: str) -> list[Entry]:
    """The entries of a release, by id."""
    return [held async for held, _ in store.entries(release)]
