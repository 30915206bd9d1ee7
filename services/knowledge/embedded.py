"""The embedded store: one SQLite file, searched in memory, shared by several processes."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from services.common.errors import ConfigurationError, KnowledgeUnavailableError, NesycdError
from services.common.records import Entry
from services.common.settings import Settings
from services.knowledge.protocol import KnowledgeQuery, Lookup, Release, Vector
from services.knowledge.release_index import LEXICAL, VECTOR, ReleaseIndex
from services.knowledge.release_writer import write_release
from services.knowledge.schema import connect, prepare, transaction

POLL_S = 0.5
"""How often the file is looked at for an activation by another process, and uses are written."""

_RELEASE = "name, checksum, entries, embedding_model, embedding_checksum, dimension, provenance"

_log = structlog.get_logger()

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Active:
    """The active release, and its index."""

    release_key: int
    release: Release
    index: ReleaseIndex


class EmbeddedStore:
    """A `KnowledgeStore` in one SQLite file.

    SQLite (WAL mode) is the only durable part. Searches run in a thread of their own over
    an index in memory, built at the first search and again, beside the running searches,
    when this or another process activates a release. Any number of processes may read and
    activate; loads take turns. Not for network file systems, which break SQLite's locks.

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
        self._path = path
        self._weights = {LEXICAL: lexical_weight, VECTOR: vector_weight}
        self._active: _Active | None = None
        self._refreshing = threading.Lock()
        self._uses: Counter[str] = Counter()
        self._uses_lock = threading.Lock()
        self._closed = threading.Event()
        self._searcher = ThreadPoolExecutor(1, thread_name_prefix="knowledge-search")
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
        """Finds entries in the active release; see `KnowledgeStore`."""
        self._check_open()
        self._watch()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._searcher, self._search, query, vector)

    async def active_release(self) -> Release | None:
        """The release that searches see, or within half a second will."""
        return await self._in_thread(lambda: self._read(_active))

    async def releases(self) -> tuple[Release, ...]:
        """Every complete release, oldest first."""
        return await self._in_thread(lambda: self._read(_complete))

    async def load(self, release: Release, rows: Iterable[tuple[Entry, Vector]]) -> None:
        """Stores a release; see `KnowledgeStore`. `rows` is consumed in a thread.

        A cancelled load keeps nothing.
        """
        stop = threading.Event()

        def load() -> None:
            with self._reported():
                write_release(self._path, release, rows, stopped=stop.is_set)

        try:
            await self._in_thread(load)
        finally:
            stop.set()

    async def activate(self, name: str) -> None:
        """Makes a release the active one; this object's next search sees it."""
        await self._in_thread(lambda: self._activate(name))

    async def record_use(self, entry_ids: Sequence[str]) -> None:
        """Notes uses in memory; they are written within half a second."""
        self._check_open()
        with self._uses_lock:
            self._uses.update(entry_ids)
        self._watch()

    async def use_counts(self, entry_ids: Sequence[str]) -> dict[str, int]:
        """How often each entry was retrieved, this object's unwritten uses included."""
        return await self._in_thread(lambda: self._use_counts(entry_ids))

    async def close(self) -> None:
        """Writes what uses are left, ends the threads."""
        if self._closed.is_set():
            return
        self._closed.set()
        await asyncio.to_thread(self._shut_down)

    # What follows runs in threads.

    def _search(self, query: KnowledgeQuery, vector: Vector) -> Lookup:
        with self._reported():
            if self._active is None:
                self.refresh()
            active = self._active
            if active is None:
                return Lookup(None)
            return Lookup(active.release, active.index.search(query, vector))

    def refresh(self) -> None:
        """Swaps in the index of the active release, if it is another than the one held.

        Called at start, spares the first search the wait. Searches meanwhile use the old one.
        """
        with self._refreshing, self._reported():
            held = self._active
            db = connect(self._path)
            try:
                # One snapshot of the file for the pointer and all the rows behind it.
                db.execute("BEGIN")
                found = _active_row(db)
                if found == (held and (held.release_key, held.release)):
                    db.close()
                    return
                built = found and self._build(db, *found)
                db.execute("COMMIT")
            except BaseException:
                db.close()
                raise
            if built is None:
                db.close()
            self._active = built
            if held is not None:
                # After the searches that already wait in line for the old one.
                self._searcher.submit(held.index.close)

    def _build(self, db: sqlite3.Connection, release_key: int, release: Release) -> _Active:
        started = time.perf_counter()
        index = ReleaseIndex(db, release_key, dimension=release.dimension, weights=self._weights)
        _log.info(
            "knowledge_release_in_use",
            release=release.name,
            entries=release.entries,
            seconds=round(time.perf_counter() - started, 3),
        )
        return _Active(release_key, release, index)

    def _activate(self, name: str) -> None:
        with self._reported(), closing(connect(self._path)) as db, transaction(db):
            row = db.execute(
                "SELECT key FROM releases WHERE name = ? AND complete", (name,)
            ).fetchone()
            if row is None:
                raise ConfigurationError(f"there is no release {name!r} in {self._path}.")
            db.execute(
                "INSERT INTO active_release VALUES (1, ?, ?) ON CONFLICT (only_row) DO UPDATE "
                "SET release_key = excluded.release_key, activated_at = excluded.activated_at",
                (row[0], time.time()),
            )
        if self._active is not None:
            self.refresh()

    def _use_counts(self, entry_ids: Sequence[str]) -> dict[str, int]:
        self._write_uses()
        with self._reported(), closing(connect(self._path)) as db:
            counts = dict.fromkeys(entry_ids, 0)
            for entry_id in counts:
                row = db.execute("SELECT uses FROM use_counts WHERE entry_id = ?", (entry_id,))
                counts[entry_id] = (row.fetchone() or (0,))[0]
            return counts

    def _write_uses(self) -> None:
        with self._uses_lock:
            uses, self._uses = self._uses, Counter()
        if not uses:
            return
        try:
            with self._reported(), closing(connect(self._path)) as db, transaction(db):
                db.executemany(
                    "INSERT INTO use_counts VALUES (?, ?) "
                    "ON CONFLICT (entry_id) DO UPDATE SET uses = uses + excluded.uses",
                    uses.items(),
                )
        except KnowledgeUnavailableError:
            with self._uses_lock:
                self._uses.update(uses)
            raise

    def _watch(self) -> None:
        """Starts the second thread, once there is something for it to do."""
        if self._watcher is None:
            self._watcher = threading.Thread(
                target=self._look_again, name="knowledge-watch", daemon=True
            )
            self._watcher.start()

    def _look_again(self) -> None:
        failure = ""
        while not self._closed.wait(POLL_S):
            try:
                self._write_uses()
                if self._active is not None:
                    self.refresh()
                failure = ""
            except NesycdError as error:
                # Searches go on with the release they have; said once, not twice a second.
                if error.message != failure:
                    failure = error.message
                    _log.warning("knowledge_refresh_failed", error=failure)

    def _shut_down(self) -> None:
        if self._watcher is not None:
            self._watcher.join()
        self._searcher.shutdown()
        if self._active is not None:
            self._active.index.close()
            self._active = None
        self._write_uses()

    def _read(self, reader: Callable[[sqlite3.Connection], _Result]) -> _Result:
        with self._reported(), closing(connect(self._path)) as db:
            return reader(db)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        self._check_open()
        return await asyncio.to_thread(work)

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise KnowledgeUnavailableError(f"knowledge base {self._path}: it is closed.")

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise KnowledgeUnavailableError(f"knowledge base {self._path}: {error}.") from error


def _active_row(db: sqlite3.Connection) -> tuple[int, Release] | None:
    row = db.execute(
        f"SELECT key, {_RELEASE} FROM active_release JOIN releases ON key = release_key"  # noqa: S608
    ).fetchone()
    return row and (row[0], Release(*row[1:]))


def _active(db: sqlite3.Connection) -> Release | None:
    found = _active_row(db)
    return found and found[1]


def _complete(db: sqlite3.Connection) -> tuple[Release, ...]:
    rows = db.execute(f"SELECT {_RELEASE} FROM releases WHERE complete ORDER BY key")  # noqa: S608
    return tuple(Release(*row) for row in rows)
