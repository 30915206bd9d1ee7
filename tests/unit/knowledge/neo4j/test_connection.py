"""What is said when there is no server, the wrong one, or nothing to be found at all."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest
import structlog

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.settings import KnowledgeSettings
from services.knowledge.neo4j.connection import _check_version
from services.knowledge.neo4j.store import Neo4jStore
from services.knowledge.protocol import KnowledgeQuery, PoolUse
from tests.neo4j_server import free_port


def store(**settings: object) -> Neo4jStore:
    given = {"neo4j_uri": f"bolt://127.0.0.1:{free_port()}", "neo4j_password": "hidden"}
    return Neo4jStore(KnowledgeSettings.model_validate(given | settings))


@pytest.mark.parametrize("agent", ["Neo4j/5.26.30", "Neo4j/5.27-aura", "Neo4j/2025.01.0"])
def test_takes_a_server_from_5_26_on(agent):
    _check_version(agent)


@pytest.mark.parametrize("agent", ["Neo4j/5.25.1", "Neo4j/4.4.40"])
def test_refuses_an_older_server(agent):
    with pytest.raises(ConfigurationError, match=rf"{agent} is too old: .* 5\.26 or newer"):
        _check_version(agent)


async def test_without_a_server_there_is_no_connection_before_or_after_a_call():
    there_is_none = store()
    assert there_is_none.pool_use == PoolUse(in_use=0, idle=0)
    with pytest.raises(KnowledgeUnavailableError):
        await there_is_none.active_release()
    assert there_is_none.pool_use == PoolUse(in_use=0, idle=0)
    await there_is_none.close()


async def test_without_a_server_every_call_fails_at_once_and_says_where():
    there_is_none = store()
    started = time.monotonic()
    with pytest.raises(KnowledgeUnavailableError, match=r"127\.0\.0\.1") as failed:
        await there_is_none.search(KnowledgeQuery("x"), np.ones(4, dtype=np.float32))
    for call in (there_is_none.releases(), there_is_none.newest("a"), there_is_none.edits()):
        with pytest.raises(KnowledgeUnavailableError):
            await call
    assert time.monotonic() - started < 4
    assert "hidden" not in failed.value.message
    await there_is_none.close()


async def test_a_server_that_never_answers_takes_no_longer_than_the_timeout():
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()
        ended.set()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    waiting = store(neo4j_uri=f"bolt://127.0.0.1:{port}", neo4j_timeout_s=0.3)
    started = time.monotonic()
    with pytest.raises(KnowledgeUnavailableError, match=r"no answer within 0\.3 s"):
        await waiting.search(KnowledgeQuery("x"), np.ones(4, dtype=np.float32))
    assert time.monotonic() - started < 2
    await waiting.close()
    await ended.wait()
    silent.close()


async def test_uses_are_lost_without_a_server_and_the_log_says_so():
    there_is_none = store()
    with structlog.testing.capture_logs() as logs:
        await there_is_none.record_use(["a", "b", "a"])
        await there_is_none.close()
        await there_is_none.close()
    assert [(line["event"], line["uses"]) for line in logs] == [("knowledge_uses_lost", 3)]


def test_refuses_weights_that_find_nothing():
    with pytest.raises(ConfigurationError, match="both 0"):
        store(lexical_weight=0, vector_weight=0)
