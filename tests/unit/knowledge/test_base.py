from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.records import Entry, EntryKind, Note
from services.knowledge.base import KnowledgeBase
from services.knowledge.checksums import release_checksum
from services.knowledge.embedded import EmbeddedStore
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import KnowledgeQuery, Release, Vector

ENTRIES = [
    Entry(f"e{n}", 1, EntryKind.NOTE, "", question, Note(("x",), ()), "", "curated")
    for n, question in enumerate(["how many apples", "which month"])
]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    embedder = HashEmbedder()
    store = EmbeddedStore(tmp_path / "knowledge.db")
    release = Release(
        "r", release_checksum(ENTRIES), 2, embedder.model_id, embedder.checksum, 64, "curated"
    )
    await store.load(
        release, zip(ENTRIES, embedder.embed([e.question for e in ENTRIES]), strict=True)
    )
    yield store
    await store.close()


async def test_without_a_release_nothing_is_found(store: EmbeddedStore) -> None:
    base = KnowledgeBase(HashEmbedder(), store)
    assert (await base.lookup(KnowledgeQuery("apples"))).release is None
    await base.check()


async def test_looks_up_and_counts_what_was_found(store: EmbeddedStore) -> None:
    await store.activate("r")
    base = KnowledgeBase(HashEmbedder(), store)
    lookup = await base.lookup(KnowledgeQuery("how many apples are there"))
    assert [hit.entry for hit in lookup.found] == ENTRIES[:1]
    assert lookup.release == await base.active_release()
    assert await store.use_counts(["e0", "e1"]) == {"e0": 1, "e1": 0}


async def test_embeds_outside_the_loops_thread(store: EmbeddedStore) -> None:
    class Recording(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Vector:
            self.thread = threading.current_thread()
            return super().embed(texts)

    embedder = Recording()
    await KnowledgeBase(embedder, store).lookup(KnowledgeQuery("apples"))
    assert embedder.thread is not threading.current_thread()


@pytest.mark.parametrize("other", [HashEmbedder(64, seed=1), HashEmbedder(32)])
async def test_refuses_a_release_of_another_embedder(
    store: EmbeddedStore, other: HashEmbedder
) -> None:
    await store.activate("r")
    base = KnowledgeBase(other, store)
    with pytest.raises(KnowledgeUnavailableError):
        await base.lookup(KnowledgeQuery("apples"))
    with pytest.raises(ConfigurationError) as caught:
        await base.check()
    assert caught.value.message == (
        f"release 'r' was embedded by hash-64-0 ({HashEmbedder().checksum[:12]}), questions by "
        f"{other.model_id} ({other.checksum[:12]}): set NESYCD_KNOWLEDGE__EMBEDDER to the "
        f"former, or load the dump again under another release name."
    )
    assert await store.use_counts(["e0"]) == {"e0": 0}


async def test_closes_twice(store: EmbeddedStore) -> None:
    base = KnowledgeBase(HashEmbedder(), store)
    await base.close()
    await base.close()
    with pytest.raises(KnowledgeUnavailableError, match="closed"):
        await base.lookup(KnowledgeQuery("apples"))
