"""Loads a dump into a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from kb_loader.dump import Dump
from kb_loader.manifest import VECTORS
from kb_loader.vectors import open_vectors
from services.common.records import Authorship, Entry
from services.knowledge.protocol import Embedder, KnowledgeStore, Release, Vector

BATCH = 64
"""Entries embedded together; all that is held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did.

    Attributes:
        is_new: false when the store had the release already.
        is_active: whether searches see it now.
        resumed_at: how many entries a load that was broken off had left behind.
        vectors: from the dump, or made here.
    """

    release: Release
    is_new: bool
    is_active: bool
    resumed_at: int
    vectors: Literal["given", "embedded"]


def release_of(dump: Dump, embedder: Embedder) -> Release:
    """The release that a dump becomes with this embedder."""
    return Release(
        name=dump.manifest.release,
        checksum=dump.checksum,
        entries=dump.rows,
        embedding_model=embedder.model_id,
        embedding_checksum=embedder.checksum,
        dimension=embedder.dimension,
        provenance=dump.manifest.provenance,
        parent=dump.manifest.parent or "",
        description=dump.manifest.description,
    )


def has_vectors_of(dump: Dump, embedder: Embedder) -> bool:
    """Whether the dump brings vectors that can be compared with this embedder's."""
    brought = dump.manifest.embedding
    return (
        brought is not None
        and brought.checksum == embedder.checksum
        and brought.dimension == embedder.dimension
    )


async def load_dump(
    dump: Dump,
    embedder: Embedder,
    store: KnowledgeStore,
    *,
    activate_by: Authorship | None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Loaded:
    """Stores a dump as a release, with vectors; repeated, it changes nothing.

    A load that was broken off goes on where it was.

    Args:
        dump: one that was checked.
        embedder: that of the service which will search the release. Where the dump brings
            its vectors, they are taken as they are.
        store: where to.
        activate_by: who makes it the active release as well; None leaves it inactive.
        on_progress: called with the number of entries just stored, from another thread.

    Raises:
        ConfigurationError: the store has other entries under the release's name, or the
            dump changed meanwhile.
        KnowledgeUnavailableError: the store cannot be written.
    """
    release = release_of(dump, embedder)
    is_new = release.name not in {known.name for known in await store.releases()}
    already = await store.loaded_rows(release)
    rows = entries_with_vectors(dump, embedder, already=already, on_progress=on_progress)
    await store.load(release, rows, already=already)
    if activate_by is not None:
        await store.activate(release.name, activate_by)
    active = await store.active_release()
    return Loaded(
        release,
        is_new=is_new,
        is_active=active is not None and active.name == release.name,
        resumed_at=already,
        vectors="given" if has_vectors_of(dump, embedder) else "embedded",
    )


def entries_with_vectors(
    dump: Dump,
    embedder: Embedder,
    *,
    already: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Iterator[tuple[Entry, Vector]]:
    """The dump's entries but the first `already` ones, with the dump's vectors or new ones."""
    entries = dump.entries()
    for _ in islice(entries, already):
        pass
    on_progress(already)
    given = open_vectors(dump.folder / VECTORS) if has_vectors_of(dump, embedder) else None
    position = already
    while batch := list(islice(entries, BATCH)):
        if given is None:
            vectors = embedder.embed([entry.searched_text for entry in batch])
        else:
            vectors = given[position : position + len(batch)]
        yield from zip(batch, vectors, strict=True)
        position += len(batch)
        on_progress(len(batch))
