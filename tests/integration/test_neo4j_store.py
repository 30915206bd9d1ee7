"""The Neo4j store passes the contract on a real server, and survives what servers suffer."""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.records import Authorship, Entry, Fact
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.neo4j import migrations, queries
from services.knowledge.neo4j.store import Neo4jStore
from services.knowledge.protocol import KnowledgeQuery, Release, Vector
from services.knowledge.ranking import RANK_CONSTANT
from tests.contract import knowledge_store as contract
from tests.contract.knowledge_editing import KnowledgeEditingContract
from tests.contract.knowledge_store import entry, release_of, rows, vector
from tests.neo4j_server import OwnServer, Server, running_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
AUTHOR = Authorship("ada")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("neo4j") / "home") as server:
        yield server


@pytest.fixture(autouse=True)
def _empty(server: Server) -> None:
    server.empty()


@pytest.fixture
async def store(server: Server) -> AsyncIterator[Neo4jStore]:
    store = Neo4jStore.from_settings(server.settings())
    yield store
    await store.close()


@pytest.fixture
async def fruit(store: Neo4jStore) -> Neo4jStore:
    await store.load(release_of("fruit", contract.FRUIT), rows(contract.FRUIT))
    await store.activate("fruit", AUTHOR)
    return store


@pytest.fixture
def own(server: Server) -> Iterator[OwnServer]:
    """The server, if it was started here: what hurts it is done to no other."""
    if not isinstance(server, OwnServer):
        pytest.skip("NEO4J_URI names a server that is not ours to stop")
    yield server
    if not server.answers():
        server.kill()
        server.start()


class TestNeo4jStore(contract.KnowledgeStoreContract, KnowledgeEditingContract):
    @pytest.fixture
    def make_store(self, server: Server) -> contract.MakeStore:
        return lambda: Neo4jStore.from_settings(server.settings())


async def ids(store: Neo4jStore, question: str = "apples") -> list[str]:
    lookup = await store.search(KnowledgeQuery(question, 4), vector(question))
    return [hit.entry.id for hit in lookup.found]


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
    await fruit.derive("second", "fruit", list(zip_rows([changed, fact])), ["b"], "ada")
    await fruit.derive("third", "second", list(zip_rows([entry("f", "figs")])), ["e"], "ada")
    again = entry("a", "how many apples are there", revision=3)
    release = await fruit.derive("other", "fruit", list(zip_rows([again])), ["c"], "ada")
    held = {name: await held_by(fruit, name) for name in ("fruit", "second", "third", "other")}
    assert held["fruit"] == contract.FRUIT
    assert held["second"] == [changed, *contract.FRUIT[2:], fact]
    assert held["third"] == [changed, *contract.FRUIT[2:], entry("f", "figs")]
    assert held["other"] == [again, contract.FRUIT[1], contract.FRUIT[3]]
    assert release == replace(release_of("other", held["other"]), parent="fruit", provenance="ada")
    for name, entries in held.items():
        await fruit.activate(name, AUTHOR)
        assert sorted(await ids(fruit)) == [e.id for e in entries][:4]
    await fruit.activate("second", AUTHOR)
    assert await fruit.facts(["is_a"], 9) == (fact,)


def zip_rows(entries: list[Entry]) -> Iterator[tuple[Entry, Vector]]:
    yield from zip(
        entries, contract.EMBEDDER.embed([e.searched_text for e in entries]), strict=True
    )


async def held_by(store: Neo4jStore, release: str) -> list[Entry]:
    return [held async for held, _ in store.entries(release)]


async def test_releases_come_oldest_first_however_the_server_keeps_them(
    server: Server, fruit: Neo4jStore
) -> None:
    await fruit.load(release_of("second", contract.FRUIT[:2]), rows(contract.FRUIT[:2]))
    server.run("MATCH (r:Release {name: 'fruit'}) SET r.sequence = r.sequence + 1000")
    assert [release.name for release in await fruit.releases()] == ["second", "fruit"]


async def test_people_see_the_graph(server: Server, store: Neo4jStore) -> None:
    facts = [
        Entry("f1", 1, "", "", Fact("Paris", "capital_of", "France"), "", "curated"),
        Entry("f2", 1, "", "", Fact("paris", "lies_on", "Seine"), "", "curated"),
    ]
    await store.load(release_of("geo", facts), zip_rows(facts))
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


# The server's faults


async def test_a_wrong_password_is_said_and_no_search_fails_for_it(server: Server) -> None:
    store = Neo4jStore.from_settings(server.settings(neo4j_password="not the one"))  # noqa: S106
    with pytest.raises(ConfigurationError, match="unauthorized"):
        await store.active_release()
    with pytest.raises(KnowledgeUnavailableError):
        await ids(store)
    await store.close()


async def test_an_unknown_database_is_said(server: Server) -> None:
    store = Neo4jStore.from_settings(server.settings(neo4j_database="nowhere"))
    with pytest.raises(ConfigurationError, match="nowhere"):
        await store.active_release()
    await store.close()


async def test_a_routing_address_works_and_an_editor_reads_their_own_write(
    own: OwnServer,
) -> None:
    routed = own.settings(neo4j_uri=own.uri.replace("bolt:", "neo4j:"))
    store = Neo4jStore.from_settings(routed)
    await store.load(release_of("fruit", contract.FRUIT), rows(contract.FRUIT))
    for _ in range(10):
        await store.activate("fruit", AUTHOR)
        assert (await ids(store))[0] == "a"
    await store.close()


async def test_a_killed_server_fails_fast_and_is_found_again(
    own: OwnServer, fruit: Neo4jStore
) -> None:
    await fruit.record_use(["a"])
    assert (await fruit.use_counts(["a"]))["a"].retrieved == 1
    before = await ids(fruit)
    await asyncio.to_thread(own.kill)
    for _ in range(3):
        started = time.monotonic()
        with pytest.raises(KnowledgeUnavailableError, match="127"):
            await ids(fruit)
        assert time.monotonic() - started < 3
    await fruit.record_use(["a"])
    await asyncio.to_thread(own.start)
    assert await found_again(fruit) == before
    assert (await fruit.use_counts(["a"]))["a"].retrieved == 2
    assert (await fruit.active_release()) == release_of("fruit", contract.FRUIT)


async def test_a_server_that_hangs_is_waited_for_no_longer_than_asked(
    own: OwnServer, fruit: Neo4jStore
) -> None:
    hasty = Neo4jStore.from_settings(own.settings(neo4j_timeout_s=0.5))
    await ids(fruit)
    await ids(hasty)
    own.freeze()
    try:
        started = time.monotonic()
        with pytest.raises(KnowledgeUnavailableError, match=r"no answer within 0\.5 s"):
            await ids(hasty)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await ids(fruit)
        assert time.monotonic() - started < 5
    finally:
        own.thaw()
    assert (await ids(fruit))[0] == "a"
    await hasty.close()


async def test_cancelled_calls_leave_the_store_usable(fruit: Neo4jStore) -> None:
    for delay in np.linspace(0, 0.03, 40):
        call = asyncio.create_task(ids(fruit))
        await asyncio.sleep(delay)
        call.cancel()
        await asyncio.wait([call])
    assert (await ids(fruit))[0] == "a"


async def found_again(store: Neo4jStore) -> list[str]:
    """What a search finds, once a server just started has planned it."""
    end = time.monotonic() + 60
    while True:
        try:
            return await ids(store)
        except KnowledgeUnavailableError:
            assert time.monotonic() < end


# Loads that die

LOADER = """
import asyncio, sys, time
from services.common.records import Authorship
from services.common.settings import load_settings
from services.knowledge.neo4j.store import Neo4jStore
from tests.contract import knowledge_store as contract
entries = [contract.entry(f"k{i:05}", f"how many apples weigh {i} grams") for i in range(6000)]
def rows():
    for n, row in enumerate(contract.rows(entries)):
        if n % 500 == 0:
            print(n, flush=True)
            time.sleep(0.2)
        yield row
async def main():
    store = Neo4jStore.from_settings(load_settings())
    release = contract.release_of("big", entries)
    already = await store.loaded_rows(release)
    print("already", already, flush=True)
    await store.load(release, rows())
    await store.close()
asyncio.run(main())
"""


def loader(server: Server) -> subprocess.Popen[str]:
    environment = {
        "PATH": "",
        "PYTHONPATH": str(ROOT),
        "NESYCD_KNOWLEDGE__NEO4J_URI": server.uri,
        "NESYCD_KNOWLEDGE__NEO4J_USER": server.user,
        "NESYCD_KNOWLEDGE__NEO4J_PASSWORD": server.password,
    }
    command = [sys.executable, "-c", LOADER]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


async def test_a_killed_load_is_invisible_and_another_process_goes_on_with_it(
    server: Server, fruit: Neo4jStore
) -> None:
    process = loader(server)
    assert process.stdout is not None
    said = await asyncio.to_thread(lambda: list(itertools.islice(process.stdout, 8)))
    assert said[0] == "already 0\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [release.name for release in await fruit.releases()] == ["fruit"]
    assert sorted(await ids(fruit)) == list("abcd")
    again = loader(server)
    output, _ = await asyncio.to_thread(again.communicate)
    assert again.returncode == 0
    assert int(output.split()[1]) >= 1000
    assert [release.name for release in await fruit.releases()] == ["fruit", "big"]
    assert [e.id for e in await held_by(fruit, "big")] == [f"k{n:05}" for n in range(6000)]


async def test_two_processes_that_load_the_same_release_load_it_once(
    server: Server, fruit: Neo4jStore
) -> None:
    both = [loader(server), loader(server)]
    for process in both:
        await asyncio.to_thread(process.communicate)
        assert process.returncode == 0
    assert [release.name for release in await fruit.releases()] == ["fruit", "big"]
    assert server.run("MATCH (n:Revision) RETURN count(*) AS n") == [{"n": 6004}]


async def test_what_a_given_up_load_wrote_is_removed(server: Server, fruit: Neo4jStore) -> None:
    many = [entry(f"m{n:04}", f"apples {n}") for n in range(2500)]

    def failing() -> Iterator[tuple[Entry, Vector]]:
        yield from rows(many)
        raise ConfigurationError("the dump changed")

    release: Release = release_of("bad", many, count=2501)
    with pytest.raises(ConfigurationError, match="the dump changed"):
        await fruit.load(release, failing())
    left = server.run("MATCH (n) WHERE n:Revision OR n:Space OR n:Abandoned RETURN labels(n)[0]")
    assert len(left) == len(contract.FRUIT) + 1
