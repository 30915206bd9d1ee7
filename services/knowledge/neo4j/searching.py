"""Finding entries of the active release: one query, a wider one only when filters hid too much."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import neo4j

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.records import Entry, EntryKind, Retrieved
from services.knowledge.graph import GRAPH, PER_CONCEPT
from services.knowledge.graph import seeds as seeds_of
from services.knowledge.neo4j import queries
from services.knowledge.neo4j.connection import Connection
from services.knowledge.neo4j.rows import Properties, entry_of, release_of, stored_key
from services.knowledge.protocol import KnowledgeQuery, Lookup, Vector
from services.knowledge.ranking import LEG_DEPTH, LEXICAL, RANK_CONSTANT, VECTOR
from services.knowledge.terms import terms

TERM_LIMIT = 64
"""Different words of a question that are looked up: its first."""

OVER_FETCH = 2
"""How many times its depth a leg takes at least from its index, before the filters: approximate
indexes find more of the nearest when they are asked for more."""

MOST_OVER_FETCH = 32
"""Filters that let less than about one in so many pass are applied before the comparison."""

_MARGIN = 1.2
"""Share taken of what would have filled one leg: the next with the same filters may need more."""

_MOST_FILTERS = 1000


@dataclass(frozen=True, slots=True)
class _OverFetch:
    """How many times its depth each leg takes, for some filters.

    The keywords of a question lead to its task sooner than its vector does, and a row more of
    the vector index costs far more than one of the keyword index.
    """

    vectors: int = OVER_FETCH
    texts: int = OVER_FETCH

    @property
    def is_bounded(self) -> bool:
        return self.vectors <= MOST_OVER_FETCH


class Search:
    """Searches with fixed weights.

    Args:
        connection: to the server.
        weights: of the legs in the fusion, by leg name.
    """

    def __init__(self, connection: Connection, weights: Mapping[str, float]) -> None:
        self._connection = connection
        self._weights = weights
        self._space = 0
        self._rows = 0
        self._learnt: dict[tuple[str, frozenset[EntryKind]], _OverFetch] = {}

    async def search(self, query: KnowledgeQuery, vector: Vector) -> Lookup:
        """Finds entries; see `KnowledgeStore.search`."""
        try:
            return await self._search(query, vector)
        except ConfigurationError as error:
            # A request that needs no knowledge can still be answered.
            raise KnowledgeUnavailableError(error.message) from error

    async def _search(self, query: KnowledgeQuery, vector: Vector) -> Lookup:
        asked = self._parameters(query, vector)
        filters = (query.task, query.kinds)
        factors = self._learnt.get(filters, _OverFetch())
        while True:
            row = await self._attempt(query, asked, factors)
            if row is None and factors.is_bounded:
                return Lookup(None)
            if row is None or row["space"] != self._space:
                # Another release was activated: what was learnt of its filters may not hold.
                self._learnt.clear()
                factors = _OverFetch() if row is None else factors
            if row is None:
                continue
            self._space, self._rows = row["space"], row["rows"]
            wanted = _wanted(row, asked, factors)
            if wanted == factors or not query.kinds:
                return _lookup(row, vector)
            if len(self._learnt) >= _MOST_FILTERS:
                self._learnt.clear()
            # Kept, so that the next search with these filters takes one round trip.
            self._learnt[filters] = factors = wanted

    async def _attempt(
        self, query: KnowledgeQuery, asked: Properties, factors: _OverFetch
    ) -> neo4j.Record | None:
        asked["fetch_vectors"] = factors.vectors * asked["depth"]
        asked["fetch_texts"] = min(factors.texts, MOST_OVER_FETCH) * asked["depth"]
        if factors.is_bounded:
            return await self._one(queries.SEARCH, asked)
        if not asked["use_vectors"]:
            # Where keywords are all there is, each text that matches counts.
            asked["fetch_texts"] = self._rows
        exact = queries.exact_search(self._space, query.kinds, by_task=bool(query.task))
        return await self._one(exact, asked)

    def _parameters(self, query: KnowledgeQuery, vector: Vector) -> Properties:
        words = list(dict.fromkeys(terms(query.question)))[:TERM_LIMIT]
        seeds = seeds_of(query.question, ()) if query.max_related else []
        return {
            "vector": vector.tolist(),
            "use_vectors": self._weights[VECTOR] > 0,
            # Quoted, and of letters and digits only: nothing of it is query syntax.
            "words": " ".join(f'"{word}"' for word in words) if self._weights[LEXICAL] else "",
            "depth": max(LEG_DEPTH, query.k),
            "k": query.k,
            "vector_weight": self._weights[VECTOR],
            "lexical_weight": self._weights[LEXICAL],
            "rank_constant": RANK_CONSTANT,
            "task": query.task,
            "kinds": sorted(query.kinds),
            "exclude": query.exclude_source,
            "max_related": query.max_related,
            "seeds": [stored_key(key) for key in seeds],
            "per_concept": PER_CONCEPT,
        }

    async def _one(self, query: str, asked: Properties) -> neo4j.Record | None:
        rows = await self._connection.read(query, **asked)
        return rows[0] if rows else None


def _wanted(row: neo4j.Record, asked: Properties, factors: _OverFetch) -> _OverFetch:
    """What fills the legs; `factors` if they are as full as they can be."""
    if row["release"]["dimension"] != len(asked["vector"]):
        return factors
    vectors, texts = factors.vectors, factors.texts
    if row["texts_seen"] == asked["fetch_texts"]:
        texts = _enough(texts, row["texts_found"], asked["depth"])
    if not asked["use_vectors"]:
        vectors = texts
    elif row["vectors_seen"] < row["rows"]:
        vectors = _enough(vectors, row["vectors_found"], asked["depth"])
    return _OverFetch(vectors, texts)


def _enough(factor: int, found: int, depth: int) -> int:
    """The factor at which a leg is full, if passing rows are as frequent further on."""
    if found == depth or factor > MOST_OVER_FETCH:
        return factor
    return max(factor + 1, math.ceil(_MARGIN * factor * depth / max(found, 0.1)))


def _lookup(row: neo4j.Record, vector: Vector) -> Lookup:
    release = release_of(row["release"])
    if vector.shape != (release.dimension,):
        raise KnowledgeUnavailableError(
            f"the question's vector has shape {vector.shape}, but the active release holds "
            f"vectors of {release.dimension} dimensions: they are of different encoders."
        )
    return Lookup(
        release,
        tuple(Retrieved(entry_of(hit["entry"]), hit["score"], _ranks(hit)) for hit in row["found"]),
        tuple(
            Retrieved(entry_of(node), 0.0, {GRAPH: rank})
            for rank, node in enumerate(row["related"], start=1)
        ),
    )


def _ranks(hit: Properties) -> dict[str, int]:
    ranks = {VECTOR: hit["vector"], LEXICAL: hit["lexical"]}
    return {leg: rank for leg, rank in ranks.items() if rank is not None}


async def facts(connection: Connection, relations: Iterable[str], limit: int) -> tuple[Entry, ...]:
    """Facts of the active release; see `KnowledgeStore.facts`."""
    rows = await connection.read(queries.FACTS, relations=sorted(set(relations)), limit=limit)
    found = [entry_of(row["entry"]) for row in rows]
    return tuple(sorted(found, key=lambda entry: entry.id)[:limit])
