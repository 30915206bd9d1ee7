from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError, KnowledgeUnavailableError
from services.common.records import (
    Authorship,
    Body,
    Conclusion,
    Entry,
    EntryKind,
    Fact,
    Note,
    ProofStep,
    Rule,
)
from services.knowledge import base as base_module
from services.knowledge.base import KnowledgeBase
from services.knowledge.checksums import release_checksum
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import KnowledgeQuery, Release, Uses, Vector

AUTHOR = Authorship("test")


def entry(entry_id: str, body: Body, question: str = "") -> Entry:
    return Entry(entry_id, 1, "", question, body, "", "curated")


ENTRIES = [
    entry(f"e{n}", Note(("x",), ()), question)
    for n, question in enumerate(["how many apples", "which month"])
]
FAMILY = [
    entry("f1", Fact("Ann", "parent", "Bob")),
    entry("f2", Fact("Bob", "parent", "Carl")),
    entry("f3", Fact("Dora", "likes", "Carl")),
    entry("n1", Note(("draw the family tree",), ()), "Who is the uncle of Ed?"),
    entry("r1", Rule("grandparent(X, Z) :- parent(X, Y), parent(Y, Z).", 0.9)),
]
QUESTION = KnowledgeQuery("Who has Ann as a grandparent?", kinds=frozenset({EntryKind.NOTE}))


async def load(store: EmbeddedStore, name: str, entries: list[Entry]) -> None:
    embedder = HashEmbedder()
    release = Release(
        name,
        release_checksum(entries),
        len(entries),
        embedder.model_id,
        embedder.checksum,
        64,
        "curated",
    )
    await store.load(
        release, zip(entries, embedder.embed([e.searched_text for e in entries]), strict=True)
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "knowledge.db")
    await load(store, "r", ENTRIES)
    yield store
    await store.close()


@pytest.fixture
async def family(store: EmbeddedStore) -> EmbeddedStore:
    await load(store, "family", FAMILY)
    await store.activate("family", AUTHOR)
    return store


async def test_without_a_release_nothing_is_found(store: EmbeddedStore) -> None:
    base = KnowledgeBase(HashEmbedder(), store)
    assert (await base.lookup(KnowledgeQuery("apples"))).release is None
    await base.check()


async def test_looks_up_and_counts_what_was_found(store: EmbeddedStore) -> None:
    await store.activate("r", AUTHOR)
    base = KnowledgeBase(HashEmbedder(), store)
    lookup = await base.lookup(KnowledgeQuery("how many apples are there"))
    assert [hit.entry for hit in lookup.found] == ENTRIES[:1]
    assert lookup.release == await base.active_release()
    assert await store.use_counts(["e0", "e1"]) == {"e0": Uses(1), "e1": Uses()}


async def test_adds_related_facts_and_what_follows_with_its_proof(family: EmbeddedStore) -> None:
    lookup = await KnowledgeBase(HashEmbedder(), family, max_related=8).lookup(QUESTION)
    assert [hit.entry.id for hit in lookup.found] == ["n1"]
    assert [hit.entry.id for hit in lookup.related] == ["f1"]
    rule = FAMILY[-1].text
    assert lookup.conclusions == (
        Conclusion(
            "Ann grandparent Carl",
            0.9,
            (
                ProofStep("Ann parent Bob", "f1", 1),
                ProofStep("Bob parent Carl", "f2", 1),
                ProofStep(rule, "r1", 1),
            ),
        ),
    )
    assert await family.use_counts(["f1", "r1", "f2", "f3"]) == {
        "f1": Uses(1),
        "r1": Uses(1),
        "f2": Uses(1),
        "f3": Uses(),
    }


async def test_without_a_graph_nothing_is_related_and_nothing_follows(
    family: EmbeddedStore,
) -> None:
    lookup = await KnowledgeBase(HashEmbedder(), family, max_related=0).lookup(QUESTION)
    assert lookup.related == ()
    assert lookup.conclusions == ()


async def test_with_too_many_facts_nothing_is_concluded(
    family: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_module, "MOST_FACTS", 1)
    lookup = await KnowledgeBase(HashEmbedder(), family, max_related=8).lookup(QUESTION)
    assert lookup.related
    assert lookup.conclusions == ()


async def test_warmed_up_it_follows_activations_before_its_first_lookup(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    await store.activate("r", AUTHOR)
    base = KnowledgeBase(HashEmbedder(), EmbeddedStore(tmp_path / "knowledge.db"))
    await base.warm_up()
    await load(store, "family", FAMILY)
    await store.activate("family", AUTHOR)
    await asyncio.sleep(2)
    release = (await base.lookup(KnowledgeQuery("apples"))).release
    assert release is not None
    assert release.name == "family"
    await base.close()


async def test_warms_up_without_a_store_that_answers(store: EmbeddedStore) -> None:
    base = KnowledgeBase(HashEmbedder(), store)
    await store.close()
    await base.warm_up()


async def test_embeds_outside_the_loops_thread(store: EmbeddedStore) -> None:
    class Recording(HashEmbedder):
        def embed(self, texts: Sequence[str]) -> Vector:
            self.thread = threading.current_thread()
            return super().embed(texts)

    embedder = Recording()
    await KnowledgeBase(embedder, store).lookup(KnowledgeQuery("apples"))
    assert embedder.thread is not threading.current_thread()


@pytest.mark.parametrize("other", [HashEmbedder(64, seed=1), HashEmbedder(32)])
async def test_refuses_a_release_of_another_embedder(
    store: EmbeddedStore, other: HashEmbedder
) -> None:
    await store.activate("r", AUTHOR)
    base = KnowledgeBase(other, store)
    with pytest.raises(KnowledgeUnavailableError):
        await base.lookup(KnowledgeQuery("apples"))
    with pytest.raises(ConfigurationError) as caught:
        await base.check()
    assert caught.value.message == (
        f"release 'r' was embedded by hash-64-0 ({HashEmbedder().checksum[:12]}), questions by "
        f"{other.model_id} ({other.checksum[:12]}): set NESYCD_KNOWLEDGE__EMBEDDER to the "
        f"former, or load the dump again under another release name."
    )
    assert await store.use_counts(["e0"]) == {"e0": Uses()}


async def test_closes_twice(store: EmbeddedStore) -> None:
    base = KnowledgeBase(HashEmbedder(), store)
    await base.close()
    await base.close()
    with pytest.raises(KnowledgeUnavailableError, match="closed"):
        await base.lookup(KnowledgeQuery("apples"))


async def test_nothing_is_concluded_from_facts_of_the_excluded_source(store: EmbeddedStore) -> None:
    own = Entry("f2", 1, "", "", Fact("Bob", "parent", "Carl"), "q7", "curated")
    await load(store, "own", [FAMILY[0], own, FAMILY[4]])
    await store.activate("own", AUTHOR)
    base = KnowledgeBase(HashEmbedder(), store, max_related=8)
    everything = await base.lookup(QUESTION)
    without = await base.lookup(replace(QUESTION, exclude_source="q7"))
    assert [one.text for one in everything.conclusions] == ["Ann grandparent Carl"]
    assert without.conclusions == ()
