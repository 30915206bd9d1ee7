"""What the writer loads, and the judge expects to find."""

from __future__ import annotations

from services.common.records import Authorship, Entry, Note
from services.knowledge.checksums import release_checksum
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import KnowledgeStore, Release

EMBEDDER = HashEmbedder(16)
ENTRIES = 300
"""Per loaded release: enough for several transactions."""

FIRST = "first"
"""The release that is active before the first round."""

AUTHOR = Authorship("killer")


def entries_of(name: str) -> list[Entry]:
    """The entries of a loaded release; the ids are shared by all releases."""
    return [
        Entry(f"n{n:04}", 1, "", f"{name} question {n}", Note((name,), ()), f"s{n}", "kill")
        for n in range(ENTRIES)
    ]


def release_of(name: str) -> Release:
    """The release that a dump of that name becomes."""
    entries = entries_of(name)
    return Release(
        name=name,
        checksum=release_checksum(entries),
        entries=len(entries),
        embedding_model=EMBEDDER.model_id,
        embedding_checksum=EMBEDDER.checksum,
        dimension=EMBEDDER.dimension,
        provenance="kill",
    )


async def load(store: KnowledgeStore, name: str) -> None:
    """Loads the release of that name."""
    entries = entries_of(name)
    vectors = EMBEDDER.embed([entry.question for entry in entries])
    await store.load(release_of(name), zip(entries, vectors, strict=True))
