"""The embedded store's use counts: gathered in memory, added to the file now and then."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Sequence

from services.knowledge.embedded.rows import chunks, marks
from services.knowledge.embedded.schema import transaction
from services.knowledge.protocol import Uses

RETRIEVED = "uses"
RIGHT = "right_uses"
WRONG = "wrong_uses"


class UseCounts:
    """Counts that are not in the file yet. Threads may share it."""

    def __init__(self) -> None:
        self._unwritten: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, entry_ids: Iterable[str], column: str) -> None:
        """Counts one of each."""
        with self._lock:
            self._unwritten.update((entry_id, column) for entry_id in entry_ids)

    @property
    def are_written(self) -> bool:
        """Whether nothing waits."""
        return not self._unwritten

    def write(self, db: sqlite3.Connection) -> None:
        """Adds what waits to the file; on an error it waits on."""
        if self.are_written:
            return
        with self._lock:
            counts, self._unwritten = self._unwritten, Counter()
        try:
            with transaction(db):
                for (entry_id, column), count in counts.items():
                    db.execute(
                        "INSERT INTO use_counts (entry_id, uses) VALUES (?, 0) "
                        "ON CONFLICT DO NOTHING",
                        (entry_id,),
                    )
                    db.execute(
                        f"UPDATE use_counts SET {column} = {column} + ? WHERE entry_id = ?",  # noqa: S608
                        (count, entry_id),
                    )
        except BaseException:
            with self._lock:
                self._unwritten.update(counts)
            raise


def read_uses(db: sqlite3.Connection, entry_ids: Sequence[str]) -> dict[str, Uses]:
    """The counts in the file; zeros for an entry never used."""
    uses = dict.fromkeys(entry_ids, Uses())
    for some in chunks(uses):
        rows = db.execute(
            f"SELECT entry_id, {RETRIEVED}, {RIGHT}, {WRONG} FROM use_counts "  # noqa: S608
            f"WHERE entry_id IN ({marks(some)})",
            some,
        )
        uses.update((entry_id, Uses(*counts)) for entry_id, *counts in rows)
    return uses
