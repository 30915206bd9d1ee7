"""Where entries are read from: a release in the store, or the folder of a dump."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from kb_loader.dump import Dump
from kb_loader.manifest import MANIFEST
from services.common.errors import ReleaseNotFoundError
from services.common.records import Entry
from services.knowledge.protocol import KnowledgeStore, Release


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """A release, and the store that holds it."""

    release: Release
    store: KnowledgeStore

    @property
    def name(self) -> str:
        """Of the release."""
        return self.release.name

    @property
    def rows(self) -> int:
        """How many entries."""
        return self.release.entries


Source: TypeAlias = StoredRelease | Dump


def is_dump(word: str) -> bool:
    """Whether the user names the folder of a dump, and not a release."""
    return (Path(word) / MANIFEST).is_file()


async def stored(store: KnowledgeStore, name: str = "") -> StoredRelease:
    """The release of that name; "" names the active one.

    Raises: ReleaseNotFoundError.
    """
    if not name:
        active = await store.active_release()
        if active is None:
            raise ReleaseNotFoundError("no release is active; load one with: nesycd kb load DIR")
        return StoredRelease(active, store)
    known = await store.releases()
    for release in known:
        if release.name == name:
            return StoredRelease(release, store)
    names = ", ".join(release.name for release in known) or "none"
    raise ReleaseNotFoundError(
        f"there is no release {name!r}, and no folder of that name with a {MANIFEST}; "
        f"releases: {names}."
    )


async def entries(
    source: Source, on_progress: Callable[[int], None] = lambda _: None
) -> AsyncIterator[Entry]:
    """Every entry, by id in code point order; `on_progress` hears of each."""
    if isinstance(source, Dump):
        for entry in source.entries():
            yield entry
            on_progress(1)
    else:
        async for entry, _ in source.store.entries(source.name):
            yield entry
            on_progress(1)
