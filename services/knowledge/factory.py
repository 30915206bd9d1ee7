"""Opens the knowledge base that the settings name."""

from __future__ import annotations

from services.common.settings import Settings
from services.knowledge.base import KnowledgeBase
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.embedder import open_embedder
from services.knowledge.protocol import KnowledgeStore


def open_store(settings: Settings) -> KnowledgeStore:
    """Opens the store. A Neo4j server is not called before the first use.

    Raises:
        ConfigurationError: the embedded store's file is broken.
        KnowledgeUnavailableError: it is locked.
    """
    if settings.knowledge.store == "neo4j":
        from services.knowledge.neo4j.store import Neo4jStore  # noqa: PLC0415 - the driver

        return Neo4jStore.from_settings(settings)
    return EmbeddedStore.from_settings(settings)


def open_knowledge_base(settings: Settings) -> KnowledgeBase:
    """Opens the encoder and the store.

    Raises:
        ConfigurationError: the encoder or the store's file is missing or broken.
        KnowledgeUnavailableError: the store's file is locked.
    """
    return KnowledgeBase(
        open_embedder(settings), open_store(settings), max_related=settings.knowledge.max_related
    )
