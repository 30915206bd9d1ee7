"""Loads into the Neo4j store that die, meet, or are given up."""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError
from services.common.records import Entry
from services.knowledge.neo4j.store import Neo4jStore
from services.knowledge.protocol import Release, Vector
from tests.contract.knowledge_store import FRUIT, entry, release_of, rows
from tests.integration.neo4j.reading import held_by, ids
from tests.neo4j_server import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]

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
    environment = {"PATH": "", "PYTHONPATH": str(ROOT)} | server.environment()
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
    assert len(left) == len(FRUIT) + 1
