"""One release, ready to be searched: both legs, the filters, the graph, and the rows behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from services.common.errors import KnowledgeUnavailableError
from services.common.records import Entry, EntryKind, Retrieved
from services.knowledge.embedded.columns import ReleaseColumns
from services.knowledge.embedded.graph_index import GraphIndex
from services.knowledge.embedded.keyword_index import KeywordIndex
from services.knowledge.embedded.releases import graph_of
from services.knowledge.embedded.rows import entries_by_key
from services.knowledge.embedded.vector_index import VectorIndex
from services.knowledge.graph import GRAPH, most_shared, seeds
from services.knowledge.protocol import KnowledgeQuery, Release, Vector
from services.knowledge.ranking import LEG_DEPTH, LEXICAL, VECTOR, fuse, top

_NEARLY_ALL = 0.9
"""Share of entries in common from which a release takes over another's principal directions."""

_KNOWN_FACTS = 8
"""Lists of facts that are kept: the rules of one release ask for the same few again and again."""


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
        release: a complete one in `db`.
        columns: of its entries.
        graph: of its entries.
        weights: of the legs in the fusion, by leg name.
        directions: those of a release that is nearly the same; see `VectorIndex`.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        release: Release,
        columns: ReleaseColumns,
        graph: GraphIndex,
        *,
        weights: dict[str, float],
        directions: Vector | None = None,
    ) -> None:
        self._db = db
        self._release = release
        self._columns = columns
        self._keys: list[int] = columns.keys.tolist()
        self._graph = graph
        self._weights = weights
        self._tasks, self._kinds = Column(columns.tasks), Column(columns.kinds)
        self._sources = Column(columns.sources)
        self._keywords = KeywordIndex(columns.tokens)
        self._vectors = VectorIndex(columns.matrix, directions=directions)
        self._known_facts: dict[tuple[frozenset[str], int], tuple[Entry, ...]] = {}

    @classmethod
    def read(
        cls, db: sqlite3.Connection, release_key: int, release: Release, weights: dict[str, float]
    ) -> ReleaseIndex:
        """Indexes a release. Raises: KnowledgeUnavailableError when rows are missing."""
        columns = ReleaseColumns.read(db, release_key, release)
        return cls(db, release, columns, GraphIndex(graph_of(db, release_key)), weights=weights)

    def read_next(self, db: sqlite3.Connection, release_key: int, release: Release) -> ReleaseIndex:
        """Indexes another release; what the two share is not read or computed again.

        Raises: KnowledgeUnavailableError when rows are missing.
        """
        if release.embedding_checksum != self._release.embedding_checksum:
            return self.read(db, release_key, release, self._weights)
        columns, moved = self._columns.read_next(db, release_key, release)
        is_new = np.ones(release.entries, dtype=bool)
        is_new[moved[moved >= 0]] = False
        places = [n for n in np.flatnonzero(is_new).tolist() if columns.kinds[n] != EntryKind.NOTE]
        added = entries_by_key(db, columns.keys[places].tolist())
        graph = self._graph.moved(moved.tolist(), zip(places, added, strict=True))
        is_close = np.count_nonzero(~is_new) >= _NEARLY_ALL * max(len(moved), release.entries)
        return ReleaseIndex(
            db,
            release,
            columns,
            graph,
            weights=self._weights,
            directions=self._vectors.directions if is_close else None,
        )

    def search(
        self, query: KnowledgeQuery, vector: Vector
    ) -> tuple[tuple[Retrieved, ...], tuple[Retrieved, ...]]:
        """The k best entries that pass the query's filters, and what the graph adds to them.

        Raises:
            KnowledgeUnavailableError: `vector` has another dimension, or the rows
                cannot be read.
        """
        if vector.shape != (self._release.dimension,):
            raise KnowledgeUnavailableError(
                f"the question's vector has shape {vector.shape}, but the active release holds "
                f"vectors of {self._release.dimension} dimensions: they are of different encoders."
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
        entries = self._read([fused.key for fused in best])
        found = tuple(
            Retrieved(entry, fused.score, fused.leg_ranks)
            for entry, fused in zip(entries, best, strict=True)
        )
        if not query.max_related:
            return found, ()
        return found, self._related(query, [fused.key for fused in best], entries)

    def _related(
        self, query: KnowledgeQuery, found: Sequence[int], entries: Sequence[Entry]
    ) -> tuple[Retrieved, ...]:
        left_out = set(found)
        reached = self._graph.reached(seeds(query.question, entries))
        if query.exclude_source:
            of_source = self._sources.equal(query.exclude_source)
            left_out.update(p for positions in reached.values() for p in positions if of_source[p])
        # Counted by position, which is the order of the ids, so that only the best are read.
        best = most_shared(reached, left_out, query.max_related)
        return tuple(
            Retrieved(entry, 0.0, {GRAPH: rank})
            for rank, entry in enumerate(self._read(best), start=1)
        )

    def facts(self, relations: Iterable[str], limit: int) -> tuple[Entry, ...]:
        """Facts with one of these relations, by id."""
        wanted = (frozenset(relations), limit)
        if wanted not in self._known_facts:
            if len(self._known_facts) >= _KNOWN_FACTS:
                del self._known_facts[next(iter(self._known_facts))]
            self._known_facts[wanted] = tuple(self._read(self._graph.facts(*wanted)))
        return self._known_facts[wanted]

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

    def _read(self, positions: Iterable[int]) -> list[Entry]:
        return entries_by_key(self._db, [self._keys[position] for position in positions])

    def close(self) -> None:
        """Closes the connection."""
        self._db.close()
