"""Loads a dump into a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from kb_loader.dump import Dump
from services.common.records import Entry
from services.knowledge.protocol import Embedder, KnowledgeStore, Release, Vector

BATCH = 64
"""Notes embedded together; all that is held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did; `is_new` is false when the store had the release already."""

    release: Release
    is_new: bool
    is_active: bool


async def load_dump(
    dump: Dump,
    embedder: Embedder,
    store: KnowledgeStore,
    *,
    activate: bool,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Loaded:
    """Embeds and stores a dump as a release; repeated, it changes nothing.

    Args:
        dump: one that was checked.
        embedder: that of the service which will search the release.
        store: where to.
        activate: make it the active release as well.
        on_progress: called with the number of notes just stored, from another thread.

    Raises:
        ConfigurationError: the store has other entries under the release's name, or the
            dump changed meanwhile.
        KnowledgeUnavailableError: the store cannot be written.
    """
    release = Release(
        name=dump.manifest.release,
        checksum=dump.checksum,
        entries=dump.rows,
        embedding_model=embedder.model_id,
        embedding_checksum=embedder.checksum,
        dimension=embedder.dimension,
        provenance=dump.manifest.provenance,
    )
    known = {release.name for release in await store.releases()}
    await store.load(release, _embedded(dump, embedder, on_progress))
    if activate:
        await store.activate(release.name)
    return Loaded(
        release,
        is_new=release.name not in known,
        is_active=await store.active_release() == release,
    )


def _embedded(
    dump: Dump, embedder: Embedder, on_progress: Callable[[int], None]
) -> Iterator[tuple[Entry, Vector]]:
    entries = dump.entries()
    while batch := list(islice(entries, BATCH)):
        vectors = embedder.embed([entry.question for entry in batch])
        yield from zip(batch, vectors, strict=True)
        on_progress(len(batch))
