"""One real Neo4j server for all tests of its store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from services.knowledge.neo4j.store import Neo4jStore
from tests.contract.knowledge_store import AUTHOR, FRUIT, release_of, rows
from tests.neo4j_server import OwnServer, Server, running_server


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("neo4j") / "home") as server:
        yield server


@pytest.fixture
def server(started: Server) -> Server:
    """The one server of all these tests, emptied for each."""
    started.empty()
    return started


@pytest.fixture
async def store(server: Server) -> AsyncIterator[Neo4jStore]:
    store = Neo4jStore.from_settings(server.settings())
    yield store
    await store.close()


@pytest.fixture
async def fruit(store: Neo4jStore) -> Neo4jStore:
    await store.load(release_of("fruit", FRUIT), rows(FRUIT))
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
