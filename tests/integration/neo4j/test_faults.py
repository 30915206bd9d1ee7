"""The Neo4j store with a server that refuses, dies or hangs."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.knowledge.neo4j.store import Neo4jStore
from tests.contract.knowledge_store import AUTHOR, FRUIT, release_of, rows
from tests.integration.neo4j.reading import ids
from tests.neo4j_server import OwnServer, Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


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
    await store.load(release_of("fruit", FRUIT), rows(FRUIT))
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
    assert (await fruit.active_release()) == release_of("fruit", FRUIT)


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
