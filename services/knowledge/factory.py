"""Opens the knowledge base that the settings name."""

from __future__ import annotations

from services.common.settings import Settings
from services.knowledge.base import KnowledgeBase
from services.knowledge.embedded import EmbeddedStore
from services.knowledge.embedder import open_embedder


def open_knowledge_base(settings: Settings) -> KnowledgeBase:
    """Opens the encoder and the store, and indexes the active release if there is one.

    Raises:
        ConfigurationError: the encoder or the store's file is missing or broken.
        KnowledgeUnavailableError: the store's file is locked.
    """
    embedder = open_embedder(settings)
    store = EmbeddedStore.from_settings(settings)
    # Here rather than at the first search, whose caller would wait for it.
    store.refresh()
    return KnowledgeBase(embedder, store)
