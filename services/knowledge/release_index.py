"""One release, ready to be searched: both legs, the filters, and the rows behind them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from services.common.errors import KnowledgeUnavailableError
from services.common.records import Entry, EntryKind, Note, Retrieved
from services.knowledge.keyword_index import KeywordIndex
from services.knowledge.protocol import KnowledgeQuery, Vector
from services.knowledge.ranking import LEG_DEPTH, fuse, top
from services.knowledge.vector_index import VectorIndex

LEXICAL = "lexical"
VECTOR = "vector"

_COLUMNS = "entry_id, revision, kind, task, question, body, source, provenance"


class Column:
    """One filterable field as small numbers, since comparing 100,000 strings takes a while."""

    def __init__(self, values: Iterable[str]) -> None:
        self._codes: dict[str, int] = {}
        numbers = [self._codes.setdefault(value, len(self._codes)) for value in values]
        self._numbers = np.array(numbers, dtype=np.int32)

    def equal(self, value: str) -> NDArray[np.bool_]:
        """Where the field has this value, shape (n,)."""
        matches: NDArray[np.bool_] = self._numbers == self._codes.get(value, -1)
        return matches


class ReleaseIndex:
    """Searches one release. Immutable but for its connection: one thread at a time.

    Args:
        db: reads the rows of what was found; closed by `close`.
        release_key: of a complete release in `db`.
        dimension: of its vectors.
        weights: of the legs in the fusion, by leg name.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        release_key: int,
        *,
        dimension: int,
        weights: dict[str, float],
    ) -> None:
        self._db = db
        self._dimension = dimension
        self._weights = weights
        rows = db.execute(
            "SELECT r.key, r.task, r.kind, r.source, r.question, v.vector "
            "FROM releases AS l JOIN release_revisions AS m ON m.release_key = l.key "
            "JOIN revisions AS r ON r.key = m.revision_key "
            "JOIN vectors AS v ON v.revision_key = r.key "
            "AND v.embedding_checksum = l.embedding_checksum "
            "WHERE l.key = ? ORDER BY m.position",
            (release_key,),
        )
        (size,) = db.execute(
            "SELECT entries FROM releases WHERE key = ?", (release_key,)
        ).fetchone()
        matrix = np.empty((size, dimension), dtype=np.float32)
        keys, tasks, kinds, sources, questions = [], [], [], [], []
        for position, (key, task, kind, source, question, vector) in enumerate(rows):
            matrix[position] = np.frombuffer(vector, dtype=np.float32)
            keys.append(key)
            tasks.append(task)
            kinds.append(kind)
            sources.append(source)
            questions.append(question)
        if len(keys) != size:
            raise KnowledgeUnavailableError(
                f"the active release has {len(keys)} of its {size} entries: the file is damaged."
            )
        self._revision_keys = keys
        self._tasks, self._kinds, self._sources = Column(tasks), Column(kinds), Column(sources)
        self._keywords = KeywordIndex(questions)
        self._vectors = VectorIndex(matrix)

    def search(self, query: KnowledgeQuery, vector: Vector) -> tuple[Retrieved, ...]:
        """The k best entries that pass the query's filters, best first.

        Raises:
            KnowledgeUnavailableError: `vector` has another dimension, or the rows
                cannot be read.
        """
        if vector.shape != (self._dimension,):
            raise KnowledgeUnavailableError(
                f"the question's vector has shape {vector.shape}, but the active release holds "
                f"vectors of {self._dimension} dimensions: they are of different encoders."
            )
        allowed = self._allowed(query)
        depth = max(LEG_DEPTH, query.k)
        legs: dict[str, list[int]] = {}
        if self._weights[VECTOR]:
            legs[VECTOR] = self._vectors.nearest(vector, depth, allowed).tolist()
        if self._weights[LEXICAL]:
            scores = self._keywords.scores(query.question)
            matches = scores > 0 if allowed is None else (scores > 0) & allowed
            legs[LEXICAL] = top(scores, depth, among=matches).tolist()
        best = fuse(legs, self._weights)[: query.k]
        entries = self._read([self._revision_keys[fused.key] for fused in best])
        return tuple(
            Retrieved(entry, fused.score, fused.leg_ranks)
            for entry, fused in zip(entries, best, strict=True)
        )

    def _allowed(self, query: KnowledgeQuery) -> NDArray[np.bool_] | None:
        """Which entries pass the filters, shape (n,); None when the query filters nothing."""
        conditions = []
        if query.task:
            conditions.append(self._tasks.equal(query.task))
        if not query.kinds.issuperset(EntryKind):
            of_kind = [self._kinds.equal(kind.value) for kind in query.kinds]
            conditions.append(np.logical_or.reduce(of_kind) if of_kind else self._kinds.equal(""))
        if query.exclude_source:
            conditions.append(~self._sources.equal(query.exclude_source))
        return np.logical_and.reduce(conditions) if conditions else None

    def _read(self, keys: Sequence[int]) -> list[Entry]:
        marks = ", ".join("?" * len(keys))
        rows = self._db.execute(
            f"SELECT key, {_COLUMNS} FROM revisions WHERE key IN ({marks})",  # noqa: S608
            keys,
        )
        entries = {key: _entry(row) for key, *row in rows}
        return [entries[key] for key in keys]

    def close(self) -> None:
        """Closes the connection."""
        self._db.close()


def _entry(row: Sequence[object]) -> Entry:
    entry_id, revision, kind, task, question, body, source, provenance = row
    body = json.loads(str(body))
    return Entry(
        id=str(entry_id),
        revision=int(str(revision)),
        kind=EntryKind(str(kind)),
        task=str(task),
        question=str(question),
        body=Note(
            tuple(body["learning_summary"]),
            tuple(body["supplementary_knowledge"]),
        ),
        source=str(source),
        provenance=str(provenance),
    )
