"""The knowledge base: an embedder and a store behind one lookup."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.knowledge.protocol import Embedder, KnowledgeQuery, KnowledgeStore, Lookup, Release


class KnowledgeBase:
    """Implements `Knowledge`: embeds the question, searches, records what was found.

    Questions are embedded one after another in a thread, so that the setting
    `knowledge.threads` is also the most processors the encoder takes.
    """

    def __init__(self, embedder: Embedder, store: KnowledgeStore) -> None:
        self._embedder = embedder
        self._store = store
        self._closed = False
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="knowledge-embed")

    async def lookup(self, query: KnowledgeQuery) -> Lookup:
        """Finds entries; see `Knowledge`.

        Raises:
            KnowledgeUnavailableError: the store cannot be read, or the active release was
                embedded by another model.
        """
        if self._closed:
            raise KnowledgeUnavailableError("the knowledge base is closed.")
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._worker, self._embedder.embed, [query.question])
        found = await self._store.search(query, vectors[0])
        if mismatch := self._mismatch(found.release):
            raise KnowledgeUnavailableError(mismatch)
        if found.found:
            await self._store.record_use([hit.entry.id for hit in found.found])
        return found

    async def active_release(self) -> Release | None:
        """The release that lookups see, or None."""
        return await self._store.active_release()

    async def check(self) -> None:
        """Refuses, at start, an active release that was embedded by another model.

        Raises:
            ConfigurationError: it was.
        """
        if mismatch := self._mismatch(await self._store.active_release()):
            raise ConfigurationError(mismatch)

    async def close(self) -> None:
        """Closes the store and ends the worker. Safe to call twice."""
        self._closed = True
        self._worker.shutdown(cancel_futures=True)
        await self._store.close()

    def _mismatch(self, release: Release | None) -> str:
        """Why the release's vectors cannot be compared with this embedder's; "" if they can."""
        if release is None or release.embedding_checksum == self._embedder.checksum:
            return ""
        return (
            f"release {release.name!r} was embedded by {release.embedding_model} "
            f"({release.embedding_checksum[:12]}), questions by {self._embedder.model_id} "
            f"({self._embedder.checksum[:12]}): set NESYCD_KNOWLEDGE__EMBEDDER to the former, or "
            f"load the dump again under another release name."
        )
