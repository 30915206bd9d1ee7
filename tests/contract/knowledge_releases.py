"""What every KnowledgeStore does with releases: making, activating, reading, loading on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from services.common.errors import (
    ConfigurationError,
    EntryNotFoundError,
    KnowledgeUnavailableError,
    ReleaseNotFoundError,
)
from services.common.records import (
    Authorship,
    Entry,
)
from services.knowledge.checksums import release_checksum
from services.knowledge.protocol import (
    EntryFilter,
    KnowledgeQuery,
    KnowledgeStore,
    Vector,
)
from tests.contract.knowledge_entries import (
    AUTHOR,
    FRUIT,
    MANY,
    PARIS,
    MakeStore,
    StoreContract,
    entry,
    release_of,
    rows,
    vector,
)


class ReleaseContract(StoreContract):
    # Releases made from others

    async def test_derives_a_release_with_entries_replaced_added_and_removed(
        self, fruit: KnowledgeStore
    ) -> None:
        changed = [replace(FRUIT[1], revision=2, question="how many plums"), entry("bb", "new")]
        release = await fruit.derive(
            "next", "fruit", list(rows(changed))[::-1], ["d", "nope"], "ada: plums"
        )
        expected = [FRUIT[0], *changed, FRUIT[2]]
        assert release == replace(
            release_of("next", expected), provenance="ada: plums", parent="fruit"
        )
        assert release.checksum == release_checksum(expected)
        assert [r.name for r in await fruit.releases()] == ["fruit", "next"]
        assert (await fruit.active_release()).name == "fruit"
        assert [e async for e, _ in fruit.entries("next")] == expected
        assert [e async for e, _ in fruit.entries("fruit")] == FRUIT
        await fruit.activate("next", AUTHOR)
        lookup = await fruit.search(KnowledgeQuery("plums", k=9), vector("how many plums"))
        assert lookup.release == release
        assert lookup.found[0].entry == changed[0]
        assert {hit.entry.id for hit in lookup.found} == {"a", "b", "bb", "c"}

    async def test_deriving_again_changes_nothing_and_other_content_is_refused(
        self, fruit: KnowledgeStore
    ) -> None:
        changed = list(rows([entry("e", "new")]))
        first = await fruit.derive("next", "fruit", changed, [], "ada")
        assert await fruit.derive("next", "fruit", changed, [], "ada") == first
        with pytest.raises(ConfigurationError, match="'next' is already loaded with other"):
            await fruit.derive("next", "fruit", changed, ["a"], "ada")
        assert [r.name for r in await fruit.releases()] == ["fruit", "next"]

    async def test_refuses_to_derive_from_nothing_or_with_vectors_that_do_not_fit(
        self, fruit: KnowledgeStore
    ) -> None:
        with pytest.raises(ReleaseNotFoundError, match="'nope'"):
            await fruit.derive("next", "nope", [], ["a"], "ada")
        short = np.ones(8, dtype=np.float32)
        with pytest.raises(ConfigurationError, match="entry 'e' of release 'next'"):
            await fruit.derive("next", "fruit", [(entry("e", "new"), short)], [], "ada")
        assert [r.name for r in await fruit.releases()] == ["fruit"]

    async def test_a_release_may_lose_all_its_entries(self, fruit: KnowledgeStore) -> None:
        release = await fruit.derive("empty", "fruit", [], ["a", "b", "c", "d"], "ada")
        assert release.entries == 0
        await fruit.activate("empty", AUTHOR)
        lookup = await fruit.search(KnowledgeQuery("x", k=3, max_related=3), vector("x"))
        assert (lookup.release, lookup.found, lookup.related) == (release, (), ())
        assert [e async for e in fruit.entries("empty")] == []

    # Activation

    async def active(self, store: KnowledgeStore) -> str:
        release = (await store.search(KnowledgeQuery("x"), vector("x"))).release
        assert release == await store.active_release()
        return release.name

    async def test_rolls_back_step_by_step(self, fruit: KnowledgeStore) -> None:
        for name in ("two", "three"):
            await fruit.derive(name, "fruit", list(rows([entry(name, name)])), [], "ada")
            assert (await fruit.activate(name, AUTHOR)).name == name
        for name in ("two", "fruit"):
            before = await fruit.previous_release()
            assert before is not None
            assert before.name == name
            assert await fruit.roll_back(Authorship("ada", "wrong answers")) == before
            assert await self.active(fruit) == name
        with pytest.raises(ReleaseNotFoundError):
            await fruit.roll_back(AUTHOR)
        assert await self.active(fruit) == "fruit"

    async def test_rolls_back_from_what_was_activated_after_a_roll_back(
        self, fruit: KnowledgeStore
    ) -> None:
        for name in ("two", "three"):
            await fruit.derive(name, "fruit", list(rows([entry(name, name)])), [], "ada")
        await fruit.activate("two", AUTHOR)
        await fruit.roll_back(AUTHOR)
        await fruit.activate("three", AUTHOR)
        await fruit.activate("three", AUTHOR)  # noted, but no step of its own
        assert (await fruit.roll_back(AUTHOR)).name == "fruit"
        with pytest.raises(ReleaseNotFoundError):
            await fruit.roll_back(AUTHOR)

    async def test_there_is_nothing_to_roll_back_to_at_first(self, store: KnowledgeStore) -> None:
        assert await store.previous_release() is None
        with pytest.raises(ReleaseNotFoundError):
            await store.roll_back(AUTHOR)

    # What a release holds

    async def test_entries_come_by_id_with_the_very_vectors(self, store: KnowledgeStore) -> None:
        ids = sorted([f"n{i:03}" for i in range(300)] + ["é", "ﾮ", "😀", "A"])
        entries = [entry(name, f"question {name}") for name in ids]
        given = np.random.default_rng(0).normal(size=(len(ids), 64)).astype(np.float32)
        given /= np.linalg.norm(given, axis=1, keepdims=True)
        await store.load(release_of("many", entries), zip(entries, given, strict=True))
        held = [row async for row in store.entries("many")]
        assert [e for e, _ in held] == entries
        assert all(v.dtype == np.float32 for _, v in held)
        assert np.array_equal(np.stack([v for _, v in held]), given)

    async def test_the_loop_is_free_while_entries_are_read(self, paris: KnowledgeStore) -> None:
        reading = paris.entries("paris")
        assert (await anext(reading))[0] == PARIS[0]
        # Another call in between, and a reader that stops half way.
        assert (await paris.active_release()).name == "paris"
        assert (await anext(reading))[0] == PARIS[1]
        await reading.aclose()

    async def test_tells_what_a_release_holds_of_some_entries(self, paris: KnowledgeStore) -> None:
        await paris.derive("fewer", "paris", [], ["f1"], "ada")
        some = ["r1", "nope", "f1", "f1"]
        assert await paris.released("paris", some) == (PARIS[0], PARIS[4])
        assert await paris.released("fewer", some) == (PARIS[4],)
        assert await paris.released("paris", []) == ()

    async def test_tells_a_releases_rules_and_relations(self, paris: KnowledgeStore) -> None:
        await paris.derive("fewer", "paris", [], ["f2", "f3", "r1"], "ada")
        assert await paris.rules("paris") == (PARIS[4], PARIS[5])
        assert await paris.rules("fewer") == (PARIS[5],)
        assert await paris.relations("paris") == {"capital_of", "lies_on"}
        assert await paris.relations("fewer") == {"capital_of"}

    async def test_refuses_to_read_an_unknown_release(self, fruit: KnowledgeStore) -> None:
        with pytest.raises(ReleaseNotFoundError, match="'nope'"):
            await anext(aiter(fruit.entries("nope")))
        for call in (fruit.released("nope", ["a"]), fruit.rules("nope"), fruit.relations("nope")):
            with pytest.raises(ReleaseNotFoundError, match="'nope'"):
                await call

    # Interrupted loads

    async def interrupt(self, store: KnowledgeStore) -> None:
        """Cancels a load of MANY when most of it has been taken."""
        most_taken = threading.Event()

        def slow() -> Iterator[tuple[Entry, Vector]]:
            for n, row in enumerate(rows(MANY)):
                if n > 400:
                    most_taken.set()
                    time.sleep(0.01)
                yield row

        load = asyncio.create_task(store.load(release_of("many", MANY), slow()))
        await asyncio.to_thread(most_taken.wait)
        load.cancel()
        with pytest.raises(asyncio.CancelledError):
            await load

    async def test_a_cancelled_load_leaves_nothing_to_be_seen(self, fruit: KnowledgeStore) -> None:
        await self.interrupt(fruit)
        assert [release.name for release in await fruit.releases()] == ["fruit"]
        assert (await fruit.find(EntryFilter())).total == 4
        with pytest.raises(EntryNotFoundError):
            await fruit.history("m0000")
        for call in (fruit.activate("many", AUTHOR), fruit.rules("many")):
            with pytest.raises(ReleaseNotFoundError):
                await call

    @pytest.mark.parametrize("skip_stored", [True, False])
    async def test_an_interrupted_load_goes_on_when_it_is_begun_again(
        self, fruit: KnowledgeStore, make_store: MakeStore, skip_stored: bool
    ) -> None:
        await self.interrupt(fruit)
        release = release_of("many", MANY)
        other = make_store()
        stored = await self.settled_rows(other, release)
        already = stored if skip_stored else 0
        await other.load(release, list(rows(MANY))[already:], already=already)
        assert [release.name for release in await fruit.releases()] == ["fruit", "many"]
        assert [e async for e, _ in fruit.entries("many")] == MANY
        assert await other.loaded_rows(release) == 0
        await fruit.activate("many", AUTHOR)
        assert await self.active(fruit) == "many"
        await other.close()

    async def settled_rows(self, store: KnowledgeStore, release: object) -> int:
        """How many rows are stored once the cancelled load has really ended."""
        before, now = -1, 0
        while before != now:
            before = now
            await asyncio.sleep(0.2)
            now = await store.loaded_rows(release)
        assert 0 <= now < len(MANY)
        return now

    async def test_a_load_that_goes_on_has_the_last_words_about_the_release(
        self, fruit: KnowledgeStore
    ) -> None:
        await self.interrupt(fruit)
        release = replace(
            release_of("many", MANY), provenance="bob", parent="fruit", description="é\nmore"
        )
        await fruit.load(release, rows(MANY))
        assert (await fruit.releases())[1] == release
        assert (await fruit.activate("many", AUTHOR)) == release
        assert await fruit.active_release() == release

    async def test_another_release_may_be_loaded_after_an_interrupted_one(
        self, fruit: KnowledgeStore
    ) -> None:
        await self.interrupt(fruit)
        few = MANY[:3]
        await fruit.load(release_of("few", few), rows(few))
        assert [e async for e, _ in fruit.entries("few")] == few
        assert await fruit.loaded_rows(release_of("many", MANY)) == 0
        await fruit.load(release_of("many", MANY), rows(MANY))
        assert [e async for e, _ in fruit.entries("many")] == MANY

    async def test_other_entries_do_not_go_on_with_an_interrupted_load(
        self, fruit: KnowledgeStore
    ) -> None:
        await self.interrupt(fruit)
        other = [replace(e, task="other") for e in MANY]
        assert await fruit.loaded_rows(release_of("many", other)) == 0
        await fruit.load(release_of("many", other), rows(other))
        assert [e async for e, _ in fruit.entries("many")] == other

    async def test_refuses_to_go_on_with_more_than_is_stored(self, fruit: KnowledgeStore) -> None:
        release = release_of("many", MANY)
        with pytest.raises(KnowledgeUnavailableError, match="'many'"):
            await fruit.load(release, list(rows(MANY))[100:], already=100)
        await fruit.load(release, rows(MANY))

    async def test_refuses_entries_that_are_not_in_order(self, fruit: KnowledgeStore) -> None:
        mixed = [FRUIT[1], FRUIT[0]]
        with pytest.raises(ConfigurationError, match="'a' after 'b'"):
            await fruit.load(release_of("mixed", mixed), rows(mixed))
        assert [release.name for release in await fruit.releases()] == ["fruit"]
