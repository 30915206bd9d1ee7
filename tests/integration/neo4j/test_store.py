"""The Neo4j store passes the contract on a real server, and searches as it should."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.common.errors import ConfigurationError
from services.common.records import Entry, Fact
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.neo4j import migrations, queries
from services.knowledge.neo4j.store import Neo4jStore
from services.knowledge.protocol import KnowledgeQuery, PooledStore, Vector
from services.knowledge.ranking import RANK_CONSTANT
from tests.contract.knowledge_editing import KnowledgeEditingContract
from tests.contract.knowledge_store import (
    AUTHOR,
    FRUIT,
    KnowledgeStoreContract,
    MakeStore,
    entry,
    release_of,
    rows,
)
from tests.integration.neo4j.reading import held_by, ids
from tests.neo4j_server import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


class TestNeo4jStore(KnowledgeStoreContract, KnowledgeEditingContract):
    @pytest.fixture
    def make_store(self, server: Server) -> MakeStore:
        return lambda: Neo4jStore.from_settings(server.settings())


async def test_the_connections_in_use_are_told(fruit: Neo4jStore) -> None:
    assert isinstance(fruit, PooledStore)
    idle = fruit.pool_use
    assert idle.in_use == 0
    assert idle.idle >= 1
    calls = [asyncio.create_task(fruit.active_release()) for _ in range(8)]
    most = 0
    while not all(call.done() for call in calls):
        most = max(most, fruit.pool_use.in_use)
        await asyncio.sleep(0)
    assert 1 <= most <= 8
    assert fruit.pool_use.in_use == 0


# Searching


def scattered(count: int) -> tuple[list[Entry], Vector]:
    """Entries of ten tasks with random vectors."""
    entries = [
        entry(f"n{n:05}", f"how many apples weigh {n % 97} grams", task=f"task_{n % 10}")
        for n in range(count)
    ]
    vectors = np.random.default_rng(0).standard_normal((count, 64)).astype(np.float32)
    return entries, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


async def test_the_vector_leg_ranks_as_a_full_comparison_does(
    server: Server, tmp_path: Path
) -> None:
    entries, vectors = scattered(1500)
    alone = {"lexical_weight": 0}
    full = EmbeddedStore(tmp_path / "knowledge.db", lexical_weight=0, vector_weight=0.7)
    indexed = Neo4jStore.from_settings(server.settings(**alone))
    for store in (full, indexed):
        await store.load(release_of("many", entries), zip(entries, vectors, strict=True))
        await store.activate("many", AUTHOR)
    same = 0
    for n in range(0, 1500, 100):
        for query in (
            KnowledgeQuery("apples", 20, exclude_source="none"),
            # Nine of ten do not pass: the index alone cannot fill the leg.
            KnowledgeQuery("apples", 20, task="task_3"),
        ):
            found = (await indexed.search(query, vectors[n])).found
            same += found == (await full.search(query, vectors[n])).found
    assert same >= 28  # of 30: the index is approximate
    await full.close()
    await indexed.close()


async def test_scores_are_the_weighted_reciprocal_ranks(store: Neo4jStore) -> None:
    entries, vectors = scattered(300)
    await store.load(release_of("many", entries), zip(entries, vectors, strict=True))
    await store.activate("many", AUTHOR)
    weights = {"vector": 0.7, "lexical": 0.3}
    for n in range(0, 300, 10):
        lookup = await store.search(KnowledgeQuery(entries[n].question, 20), vectors[n])
        legs = {
            leg: {hit.leg_ranks[leg]: hit.entry.id for hit in lookup.found if leg in hit.leg_ranks}
            for leg in weights
        }
        scores = [hit.score for hit in lookup.found]
        assert scores == sorted(scores, reverse=True)
        for hit in lookup.found:
            assert hit.score == sum(
                (weights[leg] / (RANK_CONSTANT + rank) for leg, rank in hit.leg_ranks.items()),
                start=0.0,
            )
        assert sum(map(len, legs.values())) == sum(len(hit.leg_ranks) for hit in lookup.found)


async def test_as_many_come_back_as_pass_though_the_index_hides_them(store: Neo4jStore) -> None:
    entries, vectors = scattered(3000)
    rare = [replace(e, task="rare") for e in entries[:7]]
    vectors[:7] = -vectors[2999]
    entries[:7] = rare
    await store.load(release_of("many", entries), zip(entries, vectors, strict=True))
    await store.activate("many", AUTHOR)
    query = KnowledgeQuery("how many apples", 50, task="rare")
    lookup = await store.search(query, vectors[2999])
    assert {hit.entry.id for hit in lookup.found} == {e.id for e in rare}
    assert all("vector" in hit.leg_ranks for hit in lookup.found)


async def test_derives_from_a_release_that_is_not_the_newest_of_its_space(
    fruit: Neo4jStore,
) -> None:
    fact = Entry("e", 1, "", "", Fact("Apple", "is_a", "Fruit"), "", "curated")
    changed = entry("a", "how many apples", revision=2)
    await fruit.derive("second", "fruit", list(rows([changed, fact])), ["b"], "ada")
    await fruit.derive("third", "second", list(rows([entry("f", "figs")])), ["e"], "ada")
    again = entry("a", "how many apples are there", revision=3)
    release = await fruit.derive("other", "fruit", list(rows([again])), ["c"], "ada")
    held = {name: await held_by(fruit, name) for name in ("fruit", "second", "third", "other")}
    assert held["fruit"] == FRUIT
    assert held["second"] == [changed, *FRUIT[2:], fact]
    assert held["third"] == [changed, *FRUIT[2:], entry("f", "figs")]
    assert held["other"] == [again, FRUIT[1], FRUIT[3]]
    assert release == replace(release_of("other", held["other"]), parent="fruit", provenance="ada")
    for name, entries in held.items():
        await fruit.activate(name, AUTHOR)
        assert sorted(await ids(fruit)) == [e.id for e in entries][:4]
    await fruit.activate("second", AUTHOR)
    assert await fruit.facts(["is_a"], 9) == (fact,)


async def test_releases_come_oldest_first_however_the_server_keeps_them(
    server: Server, fruit: Neo4jStore
) -> None:
    await fruit.load(release_of("second", FRUIT[:2]), rows(FRUIT[:2]))
    server.run("MATCH (r:Release {name: 'fruit'}) SET r.sequence = r.sequence + 1000")
    assert [release.name for release in await fruit.releases()] == ["second", "fruit"]


async def test_people_see_the_graph(server: Server, store: Neo4jStore) -> None:
    facts = [
        Entry("f1", 1, "", "", Fact("Paris", "capital_of", "France"), "", "curated"),
        Entry("f2", 1, "", "", Fact("paris", "lies_on", "Seine"), "", "curated"),
    ]
    await store.load(release_of("geo", facts), rows(facts))
    edges = server.run(
        "MATCH (a:Concept)-[f:FACT]->(b:Concept) "
        "RETURN a.key AS a, f.relation AS f, b.key AS b ORDER BY f"
    )
    assert [tuple(edge.values()) for edge in edges] == [
        ("paris", "capital_of", "france"),
        ("paris", "lies_on", "seine"),
    ]
    await store.derive("less", "geo", [], ["f2"], "ada")
    ended = "MATCH ()-[f:FACT]->() WHERE f.until < $forever RETURN f.entry_id AS id"
    assert server.run(ended, forever=queries.FOREVER) == [{"id": "f2"}]


# The schema


async def test_the_first_write_applies_the_migrations_once_whoever_is_first(
    server: Server, store: Neo4jStore
) -> None:
    server.empty(schema=True)
    connection = store._connection
    assert await store.releases() == ()
    assert await ids(store) == []
    assert await migrations.applied(connection) == []
    assert await migrations.pending(connection) == [1]
    others = [Neo4jStore.from_settings(server.settings()) for _ in range(3)]
    await asyncio.gather(*(each.use_counts(["a"]) for each in (store, *others)))
    for other in others:
        await other.close()
    assert await migrations.applied(connection) == [1]
    assert await migrations.pending(connection) == []
    assert len(server.run("SHOW CONSTRAINTS")) == 10


async def test_refuses_to_write_what_a_later_version_made(
    server: Server, store: Neo4jStore
) -> None:
    server.run("CREATE (:Migration {number: 99})")
    with pytest.raises(ConfigurationError, match=r"later version of nesycd \(migration 99"):
        await store.activate("fruit", AUTHOR)
    server.run("MATCH (m:Migration) DELETE m")
