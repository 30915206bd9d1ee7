"""A small knowledge base in the embedded store, with its editors' service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.common.records import Authorship, Entry, Fact, Note, Rule
from services.knowledge.checksums import release_checksum
from services.knowledge.editing import Editor
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import Release
from services.knowledge.service.servicer import KnowledgeServicer


def note(entry_id: str, question: str, *, task: str = "percent") -> Entry:
    """A note made for a question."""
    body = Note((f"Think about {entry_id}.",), (f"{entry_id} is known.",))
    return Entry(entry_id, 1, task, question, body, "", "curated")


ENTRIES = (
    Entry("capital", 1, "", "", Fact("Paris", "is_capital_of", "France"), "", "curated"),
    Entry("in", 1, "", "", Rule("in(X, Y) :- is_capital_of(X, Y)."), "", "curated"),
    note("percent-1", "What is 10 percent of 50?"),
    note("percent-2", "What is 10 percent of 60?"),
    note("tides-1", "When is the tide high?", task="tides"),
)


@dataclass
class Service:
    """The service and what stands below it."""

    store: EmbeddedStore
    servicer: KnowledgeServicer


async def open_service(folder: Path) -> Service:
    """A service whose release "r1" of ENTRIES is active; its store is to be closed."""
    store, embedder = EmbeddedStore(folder / "knowledge.db"), HashEmbedder()
    release = Release(
        name="r1",
        checksum=release_checksum(ENTRIES),
        entries=len(ENTRIES),
        embedding_model=embedder.model_id,
        embedding_checksum=embedder.checksum,
        dimension=embedder.dimension,
        provenance="curated",
    )
    vectors = embedder.embed([entry.searched_text for entry in ENTRIES])
    await store.load(release, zip(ENTRIES, vectors, strict=True))
    await store.activate("r1", Authorship("loader"))
    return Service(store, KnowledgeServicer(Editor(store, embedder), store, embedder))
