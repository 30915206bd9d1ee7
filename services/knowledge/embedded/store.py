"""The embedded store: one SQLite file, searched in memory, shared by several processes."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from services.common.errors import ConfigurationError, NesycdError
from services.common.records import Authorship, Entry, Revision
from services.common.settings import Settings
from services.knowledge.embedded import edits, releases
from services.knowledge.embedded.active import ActiveIndex
from services.knowledge.embedded.deriving import derive_release
from services.knowledge.embedded.file import StoreFile
from services.knowledge.embedded.leftovers import unfinished_rows
from services.knowledge.embedded.schema import prepare
from services.knowledge.embedded.uses import RETRIEVED, RIGHT, WRONG, UseCounts, read_uses
from services.knowledge.embedded.writing import write_release
from services.knowledge.protocol import (
    Change,
    EntryFilter,
    KnowledgeQuery,
    Lookup,
    Page,
    Release,
    Uses,
    Vector,
)
from services.knowledge.ranking import LEXICAL, VECTOR

POLL_S = 0.5
"""How often the file is looked at for an activation by another process, and uses are written."""

_PAGE = 500
"""Entries of a release that are read at a time."""

_log = structlog.get_logger()

_Result = TypeVar("_Result")


class EmbeddedStore:
    """A `KnowledgeStore` in one SQLite file; what the methods promise stands there.

    SQLite (WAL mode) is the only durable part. Searches run in a thread of their own over
    an index in memory, built at the first search and again, beside the running searches,
    when this or another process activates a release. Any number of processes may read,
    edit and activate; loads take turns. Not for network file systems, which break SQLite's
    locks.

    A release is looked for in a second thread each half second; use counts are written
    then, and by `close`.

    Args:
        path: the file; made if there is none.
        lexical_weight: of the keyword leg in the fusion. Where it alone is above 0, only
            entries that share a word with the question are found.
        vector_weight: of the vector leg.

    Raises:
        ConfigurationError: the file cannot be used, or both weights are 0.
        KnowledgeUnavailableError: the file is locked.
    """

    def __init__(
        self, path: Path, *, lexical_weight: float = 0.3, vector_weight: float = 0.7
    ) -> None:
        if not lexical_weight and not vector_weight:
            raise ConfigurationError(
                "knowledge.lexical_weight and knowledge.vector_weight are both 0: "
                "nothing would ever be found."
            )
        prepare(path)
        self._file = StoreFile(path)
        self._uses = UseCounts()
        self._searcher = ThreadPoolExecutor(1, thread_name_prefix="knowledge-search")
        weights = {LEXICAL: lexical_weight, VECTOR: vector_weight}
        self._active = ActiveIndex(path, weights, self._searcher.submit)
        self._watcher: threading.Thread | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> EmbeddedStore:
        """Opens the store that the settings name."""
        return cls(
            settings.knowledge_path,
            lexical_weight=settings.knowledge.lexical_weight,
            vector_weight=settings.knowledge.vector_weight,
        )

    async def search(self, query: KnowledgeQuery, vector: Vector) -> Lookup:
        """Finds entries in the active release."""
        return await self._in_searcher(lambda: self._search(query, vector))

    async def facts(self, relations: Iterable[str], limit: int) -> tuple[Entry, ...]:
        """Facts of the active release with one of these relations."""
        return await self._in_searcher(lambda: self._facts(relations, limit))

    async def active_release(self) -> Release | None:
        """The release that searches see, or within half a second will."""
        found = await self._file.call(releases.active_release)
        return found and found[1]

    async def previous_release(self) -> Release | None:
        """The release that `roll_back` would go back to, or None."""
        return await self._file.call(releases.previous_release)

    async def releases(self) -> tuple[Release, ...]:
        """Every complete release, oldest first."""
        return await self._file.call(releases.complete_releases)

    async def entries(self, release: str) -> AsyncIterator[tuple[Entry, Vector]]:
        """Every entry of a release with its vector; read a page at a time, in threads."""
        key, found = await self._file.call(lambda db: releases.complete_release(db, release))
        for first in range(0, found.entries, _PAGE):
            page = await self._file.call(
                lambda db, first=first: releases.rows_of(  # type: ignore[misc]
                    db, key, first=first, count=_PAGE
                )
            )
            for row in page:
                yield row

    async def released(self, release: str, entry_ids: Iterable[str]) -> tuple[Entry, ...]:
        """What a release holds of these entries."""
        return await self._file.call(lambda db: releases.entries_of(db, release, entry_ids))

    async def rules(self, release: str) -> tuple[Entry, ...]:
        """Every rule of a release."""
        return await self._file.call(lambda db: releases.rules_of(db, release))

    async def relations(self, release: str) -> frozenset[str]:
        """The relations that the facts of a release have."""
        return await self._file.call(lambda db: releases.relations_of(db, release))

    async def load(
        self, release: Release, rows: Iterable[tuple[Entry, Vector]], *, already: int = 0
    ) -> None:
        """Stores a release. `rows` is consumed in a thread; a cancelled load ends soon."""
        stop = threading.Event()

        def load() -> None:
            with self._file.reported():
                write_release(self._file.path, release, rows, already=already, stopped=stop.is_set)

        try:
            await self._file.in_thread(load)
        finally:
            stop.set()

    async def loaded_rows(self, release: Release) -> int:
        """How many of the release's first entries an unfinished load has stored."""
        return await self._file.call(lambda db: unfinished_rows(db, release))

    async def derive(
        self,
        name: str,
        base: str,
        changed: Sequence[tuple[Entry, Vector]],
        removed: Iterable[str],
        provenance: str,
    ) -> Release:
        """Stores a new release made from another."""

        def derive() -> Release:
            with self._file.reported():
                return derive_release(self._file.path, (name, base, provenance), changed, removed)

        return await self._file.in_thread(derive)

    async def activate(self, name: str, author: Authorship) -> Release:
        """Makes a release the active one; this object's next search sees it."""
        return await self._switched(lambda db: releases.activate(db, name, author))

    async def roll_back(self, author: Authorship) -> Release:
        """Goes back to the release before; this object's next search sees it."""
        return await self._switched(lambda db: releases.roll_back(db, author))

    async def record_use(self, entry_ids: Sequence[str]) -> None:
        """Notes uses in memory; they are written within half a second."""
        self._count(entry_ids, RETRIEVED)

    async def record_outcome(self, entry_ids: Sequence[str], *, right: bool) -> None:
        """Notes outcomes in memory; they are written within half a second."""
        self._count(entry_ids, RIGHT if right else WRONG)

    async def use_counts(self, entry_ids: Sequence[str]) -> dict[str, Uses]:
        """How often each entry was used, what this object has not written yet included."""

        def read(db: sqlite3.Connection) -> dict[str, Uses]:
            self._uses.write(db)
            return read_uses(db, entry_ids)

        return await self._file.call(read)

    async def newest(self, entry_id: str) -> Revision:
        """An entry's newest revision."""
        return await self._file.call(lambda db: edits.newest(db, entry_id))

    async def history(self, entry_id: str) -> tuple[Revision, ...]:
        """Every revision of an entry."""
        return await self._file.call(lambda db: edits.history(db, entry_id))

    async def find(self, wanted: EntryFilter) -> Page:
        """Lists entries by their newest revision. Takes a look at each of them."""
        return await self._file.call(lambda db: edits.find(db, wanted))

    async def append(self, changes: Sequence[Change]) -> None:
        """Adds revisions, all or none."""
        await self._file.call(lambda db: edits.append(db, changes))

    async def batch(self, name: str) -> tuple[Revision, ...]:
        """Every edit of a batch."""
        return await self._file.call(lambda db: edits.batch(db, name))

    async def edits(self) -> tuple[Revision, ...]:
        """Of each edited entry the last edit that was accepted or retired."""
        return await self._file.call(edits.edits)

    async def close(self) -> None:
        """Writes what uses are left, ends the threads."""
        if self._file.closed.is_set():
            return
        self._file.closed.set()
        await asyncio.to_thread(self._shut_down)

    def refresh(self) -> None:
        """Swaps in the index of the active release, if it is another than the one held.

        Called at start, spares the first search the wait. Searches meanwhile use the old one.
        """
        with self._file.reported():
            self._active.refresh()

    # What follows runs in threads.

    def _search(self, query: KnowledgeQuery, vector: Vector) -> Lookup:
        active = self._active.get()
        if active is None:
            return Lookup(None)
        found, related = active.index.search(query, vector)
        return Lookup(active.release, found, related)

    def _facts(self, relations: Iterable[str], limit: int) -> tuple[Entry, ...]:
        active = self._active.get()
        return active.index.facts(relations, limit) if active else ()

    def _look_again(self) -> None:
        failure = ""
        while not self._file.closed.wait(POLL_S):
            try:
                self._write_uses()
                if self._active.held is not None:
                    self.refresh()
                failure = ""
            except NesycdError as error:
                # Searches go on with the release they have; said once, not twice a second.
                if error.message != failure:
                    failure = error.message
                    _log.warning("knowledge_refresh_failed", error=failure)

    def _write_uses(self) -> None:
        if not self._uses.are_written:
            self._file.read(self._uses.write)

    def _shut_down(self) -> None:
        if self._watcher is not None:
            self._watcher.join()
        self._searcher.shutdown()
        self._active.close()
        self._write_uses()

    # What follows runs in the loop.

    def _count(self, entry_ids: Sequence[str], column: str) -> None:
        self._file.check_open()
        self._uses.add(entry_ids, column)
        self._watch()

    def _watch(self) -> None:
        """Starts the second thread, once there is something for it to do."""
        if self._watcher is None:
            self._watcher = threading.Thread(
                target=self._look_again, name="knowledge-watch", daemon=True
            )
            self._watcher.start()

    async def _switched(self, switch: Callable[[sqlite3.Connection], Release]) -> Release:
        release = await self._file.call(switch)
        if self._active.held is not None:
            await self._file.in_thread(self.refresh)
        return release

    async def _in_searcher(self, work: Callable[[], _Result]) -> _Result:
        self._file.check_open()
        self._watch()

        def reported() -> _Result:
            with self._file.reported():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._searcher, reported)
