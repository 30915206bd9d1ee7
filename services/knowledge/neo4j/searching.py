"""Finding entries of the active release: one query, a wider one only when filters hid too much."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

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
"""How many times its depth a leg takes from its index, before the filters: approximate indexes
find more of the nearest when they are asked for more."""

MOST_OVER_FETCH = 32
"""Filters that let less than about one in so many pass are applied before the comparison."""

_MOST_FILTERS = 1000


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
        self._factors: dict[tuple[str, frozenset[EntryKind]], int] = {}

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
        factor = self._factors.get(filters, OVER_FETCH)
        while True:
            row = await self._attempt(query, asked, factor)
            if row is None and factor <= MOST_OVER_FETCH:
                return Lookup(None)
            if row is None or row["space"] != self._space:
                # Another release was activated: what was learnt of its filters may not hold.
                self._factors.clear()
                factor = OVER_FETCH if row is None else factor
            if row is None:
                continue
            self._space, self._rows = row["space"], row["rows"]
            wanted = self._wanted(row, asked, factor)
            if wanted == factor or not query.kinds:
                return _lookup(row, vector)
            if len(self._factors) >= _MOST_FILTERS:
                self._factors.clear()
            # Kept, so that the next search with these filters takes one round trip.
            self._factors[filters] = factor = wanted

    async def _attempt(
        self, query: KnowledgeQuery, asked: Properties, factor: int
    ) -> neo4j.Record | None:
        asked["fetch"] = factor * asked["depth"]
        if factor <= MOST_OVER_FETCH:
            return await self._one(queries.SEARCH, asked)
        # Where keywords are all there is, each text that matches counts.
        asked["fetch"] = MOST_OVER_FETCH * asked["depth"] if asked["use_vectors"] else self._rows
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

    def _wanted(self, row: neo4j.Record, asked: Properties, factor: int) -> int:
        """The over-fetch that fills the legs; `factor` if they are as full as they can be."""
        if factor > MOST_OVER_FETCH or row["release"]["dimension"] != len(asked["vector"]):
            return factor
        depth: int = asked["depth"]
        fewest = depth
        if asked["use_vectors"] and row["vectors_seen"] < row["rows"]:
            fewest = min(fewest, row["vectors_found"])
        if row["texts_seen"] == asked["fetch"]:
            fewest = min(fewest, row["texts_found"])
        if fewest == depth:
            return factor
        return max(factor + 1, math.ceil(1.5 * factor * depth / max(fewest, 0.1)))


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
