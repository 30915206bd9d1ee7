"""What of a release's entries the index is built from, read once and kept for the next release."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.common.errors import KnowledgeUnavailableError
from services.common.records import EntryKind
from services.knowledge.content import read_body
from services.knowledge.embedded.keyword_index import Tokens
from services.knowledge.embedded.rows import chunks, marks
from services.knowledge.protocol import Release, Vector

_ROW = (
    "SELECT r.key, r.task, r.kind, r.source, r.question, "
    "CASE WHEN r.question = '' THEN r.body END, v.vector "
)


@dataclass(frozen=True, slots=True)
class ReleaseColumns:
    """One value per entry, in release order.

    Attributes:
        keys: of the revisions, int64, shape (n,).
        tasks: of the entries.
        kinds: their values.
        sources: of the entries.
        tokens: of what questions are compared with.
        matrix: float32, shape (n, dimension).
    """

    keys: NDArray[np.int64]
    tasks: Sequence[str]
    kinds: Sequence[str]
    sources: Sequence[str]
    tokens: Tokens
    matrix: Vector

    @classmethod
    def read(cls, db: sqlite3.Connection, release_key: int, release: Release) -> ReleaseColumns:
        """Reads all of a release.

        Raises: KnowledgeUnavailableError when rows are missing.
        """
        rows = db.execute(
            f"{_ROW} FROM release_revisions AS m JOIN revisions AS r ON r.key = m.revision_key "
            "JOIN vectors AS v ON v.revision_key = r.key AND v.embedding_checksum = ? "
            "WHERE m.release_key = ? ORDER BY m.position",
            (release.embedding_checksum, release_key),
        )
        read = cls._of(rows, release, release.entries)
        if len(read.keys) != release.entries:
            raise _damaged(len(read.keys), release)
        return read

    def read_next(
        self, db: sqlite3.Connection, release_key: int, release: Release
    ) -> tuple[ReleaseColumns, NDArray[np.int64]]:
        """Reads another release with vectors of the same encoder, as far as it is another.

        Returns:
            Its columns, and per entry of this one its position there, -1 where it has none.

        Raises: KnowledgeUnavailableError when rows are missing.
        """
        keys = [
            key
            for (key,) in db.execute(
                "SELECT revision_key FROM release_revisions WHERE release_key = ? "
                "ORDER BY position",
                (release_key,),
            )
        ]
        row_of = {key: row for row, key in enumerate(self.keys.tolist())}
        new_keys = [key for key in keys if key not in row_of]
        if 2 * len(new_keys) > len(keys):
            # Not worth it, and the terms of unrelated releases would add up.
            return self.read(db, release_key, release), np.full(len(self.keys), -1)
        added = self._read_keys(db, new_keys, release)
        if len(keys) != release.entries or len(added.keys) != len(new_keys):
            raise _damaged(len(keys) - len(new_keys) + len(added.keys), release)
        # Rows of `added` are counted on from those of this one.
        row_of.update((key, row) for row, key in enumerate(added.keys.tolist(), len(self.keys)))
        rows = np.array([row_of[key] for key in keys], dtype=np.int64)
        is_kept = rows < len(self.keys)
        moved = np.full(len(self.keys), -1, dtype=np.int64)
        moved[rows[is_kept]] = np.flatnonzero(is_kept)
        return self._with(added, rows), moved

    def _with(self, added: ReleaseColumns, rows: NDArray[np.int64]) -> ReleaseColumns:
        """The rows with these numbers, counted through both."""
        is_added = rows >= len(self.keys)
        matrix = np.empty((len(rows), self.matrix.shape[1]), dtype=np.float32)
        matrix[~is_added] = self.matrix[rows[~is_added]]
        matrix[is_added] = added.matrix[rows[is_added] - len(self.keys)]
        numbers = rows.tolist()

        def some(ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
            both = [*ours, *theirs]
            return [both[number] for number in numbers]

        return ReleaseColumns(
            keys=np.concatenate([self.keys, added.keys])[rows],
            tasks=some(self.tasks, added.tasks),
            kinds=some(self.kinds, added.kinds),
            sources=some(self.sources, added.sources),
            tokens=self.tokens.followed_by(added.tokens).of_rows(rows),
            matrix=matrix,
        )

    def _read_keys(
        self, db: sqlite3.Connection, keys: Sequence[int], release: Release
    ) -> ReleaseColumns:
        rows = (
            row
            for some in chunks(keys)
            for row in db.execute(
                f"{_ROW} FROM revisions AS r JOIN vectors AS v ON v.revision_key = r.key "
                f"AND v.embedding_checksum = ? WHERE r.key IN ({marks(some)})",
                (release.embedding_checksum, *some),
            )
        )
        return self._of(rows, release, len(keys), self.tokens.terms)

    @classmethod
    def _of(
        cls,
        rows: Iterable[Sequence[Any]],
        release: Release,
        size: int,
        known: Mapping[str, int] | None = None,
    ) -> ReleaseColumns:
        matrix = np.empty((size, release.dimension), dtype=np.float32)
        keys: list[int] = []
        tasks, kinds, sources = [], [], []

        def texts() -> Iterable[str]:
            for key, task, kind, source, question, body, vector in rows:
                matrix[len(keys)] = np.frombuffer(vector, dtype=np.float32)
                keys.append(key)
                tasks.append(task)
                kinds.append(kind)
                sources.append(source)
                yield question or read_body(EntryKind(kind), body).text

        tokens = Tokens.of(texts(), known)
        return cls(
            np.array(keys, dtype=np.int64), tasks, kinds, sources, tokens, matrix[: len(keys)]
        )


def _damaged(found: int, release: Release) -> KnowledgeUnavailableError:
    return KnowledgeUnavailableError(
        f"the active release has {found} of its {release.entries} entries: the file is damaged."
    )
