"""The active release of an embedded store, indexed in memory, and swapped when it changes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from services.knowledge.embedded.release_index import ReleaseIndex
from services.knowledge.embedded.releases import active_release
from services.knowledge.embedded.schema import connect
from services.knowledge.protocol import Release

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Active:
    """The active release, and its index."""

    release_key: int
    release: Release
    index: ReleaseIndex


class ActiveIndex:
    """Holds the index of the active release; `refresh` follows activations.

    Args:
        path: the store's file.
        weights: of the legs in the fusion, by leg name.
        after_searches: runs what closes an old index after the searches that already wait for it.
    """

    def __init__(
        self,
        path: Path,
        weights: dict[str, float],
        after_searches: Callable[[Callable[[], None]], object],
    ) -> None:
        self._path = path
        self._weights = weights
        self._after_searches = after_searches
        self._refreshing = threading.Lock()
        self.held: Active | None = None

    def get(self) -> Active | None:
        """What is held, built now if nothing is; None if no release is active."""
        if self.held is None:
            self.refresh()
        return self.held

    def refresh(self) -> None:
        """Swaps in the index of the active release, if it is another than the one held."""
        with self._refreshing:
            held = self.held
            db = connect(self._path)
            try:
                # One snapshot of the file for the pointer and all the rows behind it.
                db.execute("BEGIN")
                found = active_release(db)
                if found == (held and (held.release_key, held.release)):
                    db.close()
                    return
                built = found and self._build(db, *found, before=held)
                db.execute("COMMIT")
            except BaseException:
                db.close()
                raise
            if built is None:
                db.close()
            self.held = built
            if held is not None:
                self._after_searches(held.index.close)

    def _build(
        self, db: sqlite3.Connection, release_key: int, release: Release, *, before: Active | None
    ) -> Active:
        started = time.perf_counter()
        if before:
            index = before.index.read_next(db, release_key, release)
        else:
            index = ReleaseIndex.read(db, release_key, release, self._weights)
        _log.info(
            "knowledge_release_in_use",
            release=release.name,
            entries=release.entries,
            seconds=round(time.perf_counter() - started, 3),
        )
        return Active(release_key, release, index)

    def close(self) -> None:
        """Closes the index; no search may follow."""
        if self.held is not None:
            self.held.index.close()
            self.held = None
