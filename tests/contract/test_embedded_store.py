"""The embedded store passes the contract, and survives what a file on a disk suffers."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.records import Entry
from services.knowledge.embedded.schema import connect
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.embedded.writing import BATCH
from services.knowledge.protocol import KnowledgeQuery, Lookup, Uses, Vector
from tests.contract import knowledge_store as contract
from tests.contract.knowledge_editing import KnowledgeEditingContract

ROOT = Path(__file__).parents[2]

ANOTHER_APPLICATION = "CREATE TABLE theirs (x)"


class TestEmbeddedStore(contract.KnowledgeStoreContract, KnowledgeEditingContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> contract.MakeStore:
        return lambda: EmbeddedStore(tmp_path / "knowledge.db")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "knowledge.db"


async def loaded(path: Path) -> EmbeddedStore:
    store = EmbeddedStore(path)
    await store.load(contract.release_of("fruit", contract.FRUIT), contract.rows(contract.FRUIT))
    await store.activate("fruit", contract.AUTHOR)
    return store


async def test_another_process_activates_and_this_one_follows(path: Path) -> None:
    store = await loaded(path)
    dates = contract.FRUIT[2:]
    await store.load(contract.release_of("dates", dates), contract.rows(dates))
    first = await store.search(KnowledgeQuery("x"), contract.vector("x"))
    assert first.release.name == "fruit"
    code = (
        "import asyncio, sys; from pathlib import Path; "
        "from services.knowledge.embedded.store import EmbeddedStore; "
        "from services.common.records import Authorship; "
        "asyncio.run(EmbeddedStore(Path(sys.argv[1])).activate('dates', Authorship('x')))"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, str(path)], check=True)
    end = time.monotonic() + 2
    while (await store.search(KnowledgeQuery("x"), contract.vector("x"))).release.name != "dates":
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    await store.close()


LOADER = """
import asyncio, sys, time
from itertools import islice
from pathlib import Path
from services.knowledge.embedded.store import EmbeddedStore
from tests.contract import knowledge_store as contract
entries = [contract.entry(f"k{i:05}", f"how many apples weigh {i} grams") for i in range(4000)]
release = contract.release_of("big", entries)
def rows(first):
    for n, row in enumerate(islice(contract.rows(entries), first, None), first):
        if n % 250 == 0:
            print(n, flush=True)
            time.sleep(0.005)
        yield row
async def main():
    store = EmbeddedStore(Path(sys.argv[1]))
    already = await store.loaded_rows(release)
    print(already, flush=True)
    await store.load(release, rows(already), already=already)
    await store.activate("big", contract.AUTHOR)
    await store.close()
asyncio.run(main())
"""


def run_until(rows: int, command: list[str]) -> None:
    """Runs a loader, and kills it once it has embedded so many rows."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        for line in process.stdout or ():
            if int(line) >= rows:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("kill_after_rows", [0, 1500, 3750])
async def test_a_killed_load_leaves_the_old_release_active_and_goes_on_when_repeated(
    path: Path, kill_after_rows: int
) -> None:
    store = await loaded(path)
    command = [sys.executable, "-c", LOADER, str(path)]
    await asyncio.to_thread(run_until, kill_after_rows, command)
    assert [release.name for release in await store.releases()] == ["fruit"]
    assert (await store.active_release()).name == "fruit"
    found = await store.search(KnowledgeQuery("apples", k=9), contract.vector("apples"))
    assert len(found.found) == 4
    again = await asyncio.to_thread(
        subprocess.run, command, check=True, capture_output=True, text=True, cwd=ROOT
    )
    first, *_ = map(int, again.stdout.split())
    assert max(0, kill_after_rows - BATCH) <= first <= kill_after_rows + BATCH
    assert (await store.active_release()).name == "big"
    ids = [entry.id async for entry, _ in store.entries("big")]
    assert ids == [f"k{i:05}" for i in range(4000)]
    await store.close()


async def test_another_load_removes_what_a_killed_one_left(path: Path) -> None:
    store = await loaded(path)
    await asyncio.to_thread(run_until, 1500, [sys.executable, "-c", LOADER, str(path)])
    few = contract.FRUIT[:2]
    await store.load(contract.release_of("few", few), contract.rows(few))
    with closing(connect(path)) as db:
        assert db.execute("SELECT count(*) FROM releases WHERE NOT complete").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM entries").fetchone() == (4,)
        assert db.execute("SELECT count(*) FROM revisions").fetchone() == (4,)
        assert db.execute("SELECT count(*) FROM vectors").fetchone() == (4,)
    await store.close()


async def test_a_cancelled_load_ends_soon_and_leaves_nothing(path: Path) -> None:
    store = await loaded(path)

    def endless() -> Iterator[tuple[Entry, Vector]]:
        for i in itertools.count():
            time.sleep(0.001)
            yield contract.entry(f"e{i:09}", "x"), contract.vector("x")

    task = asyncio.create_task(
        store.load(contract.release_of("endless", contract.FRUIT), endless())
    )
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    few = contract.FRUIT[:2]
    async with asyncio.timeout(5):
        await store.load(contract.release_of("few", few), contract.rows(few))
    assert [release.name for release in await store.releases()] == ["fruit", "few"]
    await store.close()


async def test_entries_that_are_not_those_of_the_checksum_are_refused(path: Path) -> None:
    store = await loaded(path)
    release = replace(contract.release_of("other", contract.FRUIT), checksum="0" * 64)
    with pytest.raises(ConfigurationError, match="'other' brought other entries than its"):
        await store.load(release, contract.rows(contract.FRUIT))
    assert await store.loaded_rows(release) == 0
    assert [known.name for known in await store.releases()] == ["fruit"]
    await store.close()


async def test_two_loads_of_one_release_at_once_make_one(path: Path) -> None:
    first, second = EmbeddedStore(path), EmbeddedStore(path)
    release = contract.release_of("fruit", contract.FRUIT)
    await asyncio.gather(
        *(store.load(release, contract.rows(contract.FRUIT)) for store in (first, second))
    )
    assert await first.releases() == (release,)
    await first.close()
    await second.close()


async def test_the_loop_is_free_while_a_search_runs(path: Path) -> None:
    store = await loaded(path)
    search_now = store._search

    def slow(*args: Any) -> Lookup:
        time.sleep(0.3)
        return search_now(*args)

    store._search = slow
    search = asyncio.create_task(store.search(KnowledgeQuery("x"), contract.vector("x")))
    start = time.monotonic()
    await asyncio.sleep(0.05)
    assert time.monotonic() - start < 0.2
    await search
    await store.close()


def test_refuses_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(ConfigurationError) as caught:
        EmbeddedStore(path)
    assert caught.value.message == f"knowledge base {path}: file is not a database."


def test_refuses_another_applications_database_untouched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(ANOTHER_APPLICATION)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="the file is another application's"):
        EmbeddedStore(path)
    assert path.read_bytes() == before


async def test_refuses_a_file_of_a_later_version(path: Path) -> None:
    await EmbeddedStore(path).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO migrations VALUES (99, 'later', 0)")
    with pytest.raises(ConfigurationError, match="made by a later version"):
        EmbeddedStore(path)


def test_refuses_a_folder_it_cannot_make(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match=r"knowledge base .*file/knowledge\.db"):
        EmbeddedStore(tmp_path / "file" / "knowledge.db")


def test_refuses_two_weights_of_zero(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="are both 0"):
        EmbeddedStore(path, lexical_weight=0, vector_weight=0)


def damage(path: Path) -> None:
    path.write_bytes(os.urandom(8192))


def remove_all(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


async def test_says_so_when_the_file_is_gone_or_damaged(path: Path) -> None:
    store = EmbeddedStore(path)
    remove_all(path.parent)
    for call in (store.releases(), store.active_release(), store.activate("x", contract.AUTHOR)):
        with pytest.raises(KnowledgeUnavailableError, match=r"knowledge\.db: unable to open"):
            await call
    with pytest.raises(KnowledgeUnavailableError, match=r"knowledge\.db"):
        await store.search(KnowledgeQuery("x"), contract.vector("x"))
    damage(path)
    with pytest.raises(KnowledgeUnavailableError, match="not a database"):
        await store.releases()
    await store.close()


async def test_a_locked_file_is_an_error_not_a_hang(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await loaded(path)
    monkeypatch.setattr("services.knowledge.embedded.schema.BUSY_TIMEOUT_S", 0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(KnowledgeUnavailableError, match="database is locked"):
            await store.activate("fruit", contract.AUTHOR)
        # Readers do not mind a writer.
        found = await store.search(KnowledgeQuery("apples"), contract.vector("apples"))
        assert found.found
        await store.record_use(["a"])
        with pytest.raises(KnowledgeUnavailableError, match="database is locked"):
            await store.use_counts(["a"])
        other.execute("ROLLBACK")
    assert await store.use_counts(["a"]) == {"a": Uses(1)}
    await store.close()


async def test_weights_decide_between_the_legs(path: Path) -> None:
    await (await loaded(path)).close()
    for weights, legs in (
        ({"lexical_weight": 1, "vector_weight": 0}, {"lexical"}),
        ({"lexical_weight": 0, "vector_weight": 1}, {"vector"}),
    ):
        store = EmbeddedStore(path, **weights)
        found = await store.search(KnowledgeQuery("apples"), contract.vector("apples"))
        assert [set(hit.leg_ranks) for hit in found.found] == [legs]
        await store.close()


async def test_says_so_when_rows_are_missing(path: Path) -> None:
    store = await loaded(path)
    with closing(connect(path)) as db:
        db.execute("DELETE FROM vectors WHERE revision_key = 1")
    with pytest.raises(KnowledgeUnavailableError, match="3 of its 4 entries: the file is damaged"):
        await store.search(KnowledgeQuery("x"), contract.vector("x"))
    await store.close()
