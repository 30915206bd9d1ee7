"""What every KnowledgeStore does. A store's own test module inherits this class, and that of
knowledge_editing.py:

class TestMyStore(KnowledgeStoreContract, KnowledgeEditingContract):
    @pytest.fixture
    def make_store(self, tmp_path): ...  # each call: another instance over the same data
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.errors import (
    ConfigurationError,
    KnowledgeUnavailableError,
    ReleaseNotFoundError,
)
from services.common.records import Entry, EntryKind
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import KnowledgeQuery, KnowledgeStore, Uses, Vector
from tests.contract.knowledge_entries import (
    AUTHOR,
    EMBEDDER,
    FRUIT,
    MakeStore,
    StoreContract,
    entry,
    release_of,
    rows,
    vector,
)

__all__ = [
    "AUTHOR",
    "EMBEDDER",
    "FRUIT",
    "KnowledgeStoreContract",
    "MakeStore",
    "entry",
    "release_of",
    "rows",
    "vector",
]


class KnowledgeStoreContract(StoreContract):
    async def ids(self, store: KnowledgeStore, question: str, **query: object) -> list[str]:
        found = await store.search(KnowledgeQuery(question, **query), vector(question))
        return [hit.entry.id for hit in found.found]

    async def test_an_empty_store_finds_nothing_and_says_no_release(
        self, store: KnowledgeStore
    ) -> None:
        lookup = await store.search(KnowledgeQuery("apples"), vector("apples"))
        assert lookup.release is None
        assert lookup.found == ()
        assert await store.active_release() is None
        assert await store.releases() == ()

    async def test_a_loaded_release_is_invisible_until_activated(
        self, store: KnowledgeStore
    ) -> None:
        release = release_of("fruit", FRUIT)
        await store.load(release, rows(FRUIT))
        assert await store.releases() == (release,)
        assert await store.active_release() is None
        assert await self.ids(store, "apples") == []
        await store.activate("fruit", AUTHOR)
        assert await store.active_release() == release
        lookup = await store.search(KnowledgeQuery("apples in a basket"), vector("apples basket"))
        assert lookup.release == release
        assert [hit.entry for hit in lookup.found] == FRUIT[:1]

    async def test_scores_fall_and_ranks_say_which_leg_found_what(
        self, fruit: KnowledgeStore
    ) -> None:
        question = "how many apples are in the basket"
        lookup = await fruit.search(KnowledgeQuery(question, k=4), vector(question))
        scores = [hit.score for hit in lookup.found]
        assert scores == sorted(scores, reverse=True)
        assert min(scores) > 0
        assert lookup.found[0].leg_ranks == {"lexical": 1, "vector": 1}
        # No word in common with the questions about dates: only the vector leg ranks them.
        assert {hit.entry.id: set(hit.leg_ranks) for hit in lookup.found[2:]} == {
            "c": {"vector"},
            "d": {"vector"},
        }

    async def test_k_entries_come_back_whenever_k_pass_the_filters(
        self, store: KnowledgeStore
    ) -> None:
        # 200 closer ones of another task, more than any leg is deep.
        near = [entry(f"n{i:03}", "count the red apples", task="other") for i in range(200)]
        far = [entry(f"z{i}", f"name month {i}", task="dates") for i in range(5)]
        await store.load(release_of("many", near + far), rows(near + far))
        await store.activate("many", AUTHOR)
        found = await self.ids(store, "count the red apples", k=5, task="dates")
        assert sorted(found) == [e.id for e in far]
        assert len(await self.ids(store, "count the red apples", k=120)) == 120

    async def test_filters_by_kind(self, fruit: KnowledgeStore) -> None:
        only = frozenset({EntryKind.FACT})
        assert await self.ids(fruit, "apples", k=4, kinds=only) == ["d"]
        assert await self.ids(fruit, "apples", k=4, kinds=frozenset()) == []

    async def test_excludes_a_source(self, fruit: KnowledgeStore) -> None:
        question = FRUIT[0].question
        assert await self.ids(fruit, question) == ["a"]
        assert await self.ids(fruit, question, exclude_source="q1") == ["b"]
        # An entry without a source is never excluded.
        assert len(await self.ids(fruit, question, k=4, exclude_source="none")) == 4

    async def test_an_unknown_task_finds_nothing(self, fruit: KnowledgeStore) -> None:
        assert await self.ids(fruit, "apples", k=4, task="nope") == []

    @pytest.mark.parametrize(
        "question",
        [
            "C++ (",
            "a AND",
            "NOT",
            "*x",
            '"',
            "apples OR 1=1; DROP TABLE entries; --",
            "NEAR(apples, 5)",
            "question: apples^2 -pears",
            "the of and",
            "",
            " \t\n",
            "\x00\x01\x1f",
            "😀 日本語 ﬁ",
            "apples " * 5000,
        ],
    )
    async def test_no_text_breaks_a_search(self, fruit: KnowledgeStore, question: str) -> None:
        assert len(await self.ids(fruit, question, k=4)) == 4

    @settings(max_examples=50, suppress_health_check=list(HealthCheck), deadline=None)
    @given(question=st.text(max_size=200))
    async def test_no_random_text_breaks_a_search(
        self, fruit: KnowledgeStore, question: str
    ) -> None:
        assert len(await self.ids(fruit, question, k=4)) == 4

    async def test_refuses_a_query_vector_of_another_dimension(self, fruit: KnowledgeStore) -> None:
        with pytest.raises(KnowledgeUnavailableError, match="64 dimensions"):
            await fruit.search(KnowledgeQuery("apples"), np.ones(8, dtype=np.float32))

    async def test_loading_the_same_release_again_changes_nothing(
        self, fruit: KnowledgeStore
    ) -> None:
        await fruit.load(release_of("fruit", FRUIT), rows(FRUIT))
        assert [release.name for release in await fruit.releases()] == ["fruit"]
        assert len(await self.ids(fruit, "apples", k=9)) == 4

    async def test_refuses_other_entries_under_a_known_name(self, fruit: KnowledgeStore) -> None:
        with pytest.raises(ConfigurationError, match="'fruit' is already loaded with other"):
            await fruit.load(release_of("fruit", FRUIT[:1]), rows(FRUIT[:1]))
        assert len(await self.ids(fruit, "apples", k=9)) == 4

    async def test_refuses_another_embedder_under_a_known_name(self, fruit: KnowledgeStore) -> None:
        other = HashEmbedder(64, seed=1)
        with pytest.raises(ConfigurationError, match="vectors of hash-64-0"):
            await fruit.load(release_of("fruit", FRUIT, embedder=other), rows(FRUIT, other))

    async def test_releases_share_entries_and_roll_back(self, fruit: KnowledgeStore) -> None:
        changed = [entry("a", FRUIT[0].question, revision=2, body=("better",)), *FRUIT[1:3]]
        await fruit.load(release_of("newer", changed), rows(changed))
        await fruit.activate("newer", AUTHOR)
        question = KnowledgeQuery(FRUIT[0].question)
        lookup = await fruit.search(question, vector(question.question))
        assert lookup.found[0].entry == changed[0]
        assert [release.name for release in await fruit.releases()] == ["fruit", "newer"]
        await fruit.activate("fruit", AUTHOR)
        lookup = await fruit.search(question, vector(question.question))
        assert lookup.found[0].entry == FRUIT[0]

    @pytest.mark.parametrize(
        ("given_rows", "count", "message"),
        [
            (FRUIT[:3], 4, "says 4 entries, but brought 3"),
            (FRUIT, 3, "says 3 entries, but brought 4"),
            ([FRUIT[0], FRUIT[0]], 2, "'a' twice"),
        ],
    )
    async def test_a_load_that_does_not_fit_leaves_nothing(
        self, fruit: KnowledgeStore, given_rows: list[Entry], count: int, message: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=message):
            await fruit.load(release_of("bad", given_rows, count=count), rows(given_rows))
        assert [release.name for release in await fruit.releases()] == ["fruit"]
        await fruit.load(release_of("bad", FRUIT[:2]), rows(FRUIT[:2]))

    async def test_refuses_a_vector_of_another_dimension(self, fruit: KnowledgeStore) -> None:
        with pytest.raises(ConfigurationError, match="entry 'a' of release 'bad'"):
            await fruit.load(release_of("bad", FRUIT), rows(FRUIT, HashEmbedder(8)))

    async def test_an_error_in_the_rows_leaves_nothing_and_reaches_the_caller(
        self, fruit: KnowledgeStore
    ) -> None:
        def failing() -> Iterator[tuple[Entry, Vector]]:
            yield from rows(FRUIT)
            raise ConfigurationError("the dump changed")

        with pytest.raises(ConfigurationError, match="the dump changed"):
            await fruit.load(release_of("bad", FRUIT, count=5), failing())
        assert [release.name for release in await fruit.releases()] == ["fruit"]

    async def test_refuses_to_activate_an_unknown_release(self, fruit: KnowledgeStore) -> None:
        with pytest.raises(ReleaseNotFoundError, match="no release 'nope'"):
            await fruit.activate("nope", AUTHOR)
        assert await self.ids(fruit, "apples") == ["a"]

    async def test_another_instance_sees_an_activation_within_two_seconds(
        self, fruit: KnowledgeStore, make_store: MakeStore
    ) -> None:
        other = make_store()
        try:
            assert await self.ids(other, "apples") == ["a"]
            dates = FRUIT[2:]
            await fruit.load(release_of("dates", dates), rows(dates))
            await fruit.activate("dates", AUTHOR)
            await self.until(lambda: self._names(other, "dates"), seconds=2)
        finally:
            await other.close()

    async def _names(self, store: KnowledgeStore, name: str) -> bool:
        release = (await store.search(KnowledgeQuery("x"), vector("x"))).release
        return release is not None and release.name == name

    async def until(self, holds: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not await holds():
            assert time.monotonic() < end, f"not within {seconds} s"
            await asyncio.sleep(0.02)

    async def test_searches_go_on_during_a_load_and_an_activation(
        self, fruit: KnowledgeStore
    ) -> None:
        more = [entry(f"m{i:04}", f"how many apples weigh {i} grams") for i in range(600)]
        seen: set[str] = set()
        done = asyncio.Event()

        async def search() -> None:
            while not done.is_set():
                lookup = await fruit.search(KnowledgeQuery("apples", k=4), vector("apples"))
                assert lookup.release is not None
                seen.add(lookup.release.name)
                assert len(lookup.found) == 4

        searches = [asyncio.create_task(search()) for _ in range(8)]
        # The first ones wait for their connections, for longer than the load takes.
        while not seen and not any(one.done() for one in searches):
            await asyncio.sleep(0.01)
        await fruit.load(release_of("more", more), rows(more))
        await fruit.activate("more", AUTHOR)
        assert (await fruit.search(KnowledgeQuery("x"), vector("x"))).release == release_of(
            "more", more
        )
        done.set()
        await asyncio.gather(*searches)
        assert "fruit" in seen
        assert seen <= {"fruit", "more"}

    async def test_use_counts_add_up_over_instances(
        self, fruit: KnowledgeStore, make_store: MakeStore
    ) -> None:
        other = make_store()
        await fruit.record_use(["a", "b"])
        await other.record_use(["a"])
        await other.close()
        await fruit.record_use(["a"])
        assert await fruit.use_counts(["a", "b", "c"]) == {
            "a": Uses(3),
            "b": Uses(1),
            "c": Uses(),
        }

    async def test_closes_twice_and_refuses_afterwards(self, make_store: MakeStore) -> None:
        store = make_store()
        await store.record_use(["a"])
        await store.close()
        await store.close()
        with pytest.raises(KnowledgeUnavailableError, match="closed"):
            await store.search(KnowledgeQuery("x"), vector("x"))
        again = make_store()
        assert await again.use_counts(["a"]) == {"a": Uses(1)}
        await again.close()

    async def test_outcomes_are_counted(self, fruit: KnowledgeStore, make_store: MakeStore) -> None:
        await fruit.record_use(["a", "b"])
        await fruit.record_outcome(["a", "b"], right=True)
        await fruit.record_outcome(["a", "c"], right=False)
        await fruit.record_outcome(["a"], right=False)
        assert await fruit.use_counts(["a", "b", "c", "d"]) == {
            "a": Uses(1, 1, 2),
            "b": Uses(1, 1, 0),
            "c": Uses(0, 0, 1),
            "d": Uses(),
        }
        await fruit.close()
        again = make_store()
        assert await again.use_counts(["a"]) == {"a": Uses(1, 1, 2)}
        await again.close()
