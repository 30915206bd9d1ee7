from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from kb_loader.dump import Dump, read_dump, write_manifest
from kb_loader.export import export_release
from kb_loader.load import BATCH, load_dump
from services.common.records import Authorship
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import Vector
from tests.unit.kb_loader.dumps import note, write, write_all

ME = Authorship("me", "why")


class CountingEmbedder(HashEmbedder):
    """Remembers what it embedded; breaks off after a number of texts."""

    def __init__(self, *, breaks_after: int = 10**9) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._breaks_after = breaks_after

    def embed(self, texts: Sequence[str]) -> Vector:
        if len(self.texts) >= self._breaks_after:
            raise KeyboardInterrupt
        self.texts += texts
        return super().embed(texts)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "knowledge.db")
    yield store
    await store.close()


def big_dump(folder: Path, notes: int = 2000) -> Dump:
    write(folder, *(note(id=f"n{i:05}", question=f"question {i}") for i in range(notes)))
    return write_manifest(folder, "r1")


async def test_a_load_tells_what_it_did(store: EmbeddedStore, tmp_path: Path) -> None:
    dump = write_manifest(write_all(tmp_path / "in"), "r1", description="d", parent="r0")
    loaded = await load_dump(dump, HashEmbedder(), store, activate_by=ME)
    assert (loaded.is_new, loaded.is_active, loaded.resumed_at) == (True, True, 0)
    assert loaded.vectors == "embedded"
    assert (loaded.release.parent, loaded.release.description) == ("r0", "d")
    assert await store.active_release() == loaded.release
    again = await load_dump(dump, HashEmbedder(), store, activate_by=None)
    assert (again.is_new, again.is_active) == (False, True)


async def test_rules_and_facts_are_embedded_by_what_retrieval_compares(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    embedder = CountingEmbedder()
    write_manifest(write_all(tmp_path / "in"), "r1")
    await load_dump(read_dump(tmp_path / "in"), embedder, store, activate_by=None)
    assert embedder.texts[:3] == [
        "Ann parent Bob",
        "Bob parent Cem",
        "grandparent(X, Z) :- parent(X, Y), parent(Y, Z).",
    ]


async def test_a_load_that_broke_off_embeds_only_the_rest(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    dump = big_dump(tmp_path / "in")
    first = CountingEmbedder(breaks_after=1200)
    with pytest.raises(KeyboardInterrupt):
        await load_dump(dump, first, store, activate_by=None)
    assert await store.releases() == ()
    second = CountingEmbedder()
    seen: list[int] = []
    loaded = await load_dump(dump, second, store, activate_by=None, on_progress=seen.append)
    assert 0 < loaded.resumed_at <= 1200 + BATCH
    assert second.texts == [f"question {i}" for i in range(loaded.resumed_at, 2000)]
    assert sum(seen) == 2000
    assert [entry async for entry, _ in store.entries("r1")] == [*dump.entries()]


async def test_vectors_of_the_same_encoder_are_taken_as_they_are(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    dump = big_dump(tmp_path / "in", 200)
    await load_dump(dump, HashEmbedder(), store, activate_by=None)
    (release,) = await store.releases()
    await export_release(store, release, tmp_path / "out", with_vectors=True)
    embedder = CountingEmbedder()
    other = EmbeddedStore(tmp_path / "other.db")
    loaded = await load_dump(read_dump(tmp_path / "out"), embedder, other, activate_by=None)
    assert (loaded.vectors, embedder.texts) == ("given", [])
    mine = [vector async for _, vector in store.entries("r1")]
    assert np.array_equal(mine, [vector async for _, vector in other.entries("r1")])
    await other.close()


async def test_vectors_of_another_encoder_are_made_anew(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    dump = big_dump(tmp_path / "in", 10)
    await load_dump(dump, HashEmbedder(seed=1), store, activate_by=None)
    (release,) = await store.releases()
    await export_release(store, release, tmp_path / "out", with_vectors=True)
    other = EmbeddedStore(tmp_path / "other.db")
    embedder = CountingEmbedder()
    loaded = await load_dump(read_dump(tmp_path / "out"), embedder, other, activate_by=None)
    assert (loaded.vectors, len(embedder.texts)) == ("embedded", 10)
    await other.close()


async def test_entries_are_embedded_off_the_event_loop(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    threads: set[int] = set()
    await load_dump(
        big_dump(tmp_path / "in", 10),
        HashEmbedder(),
        store,
        activate_by=None,
        on_progress=lambda _: threads.add(threading.get_ident()),
    )
    assert threading.get_ident() not in threads
