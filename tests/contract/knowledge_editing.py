"""What every KnowledgeStore does for editors; and all that stands in the modules beside this one,
so that a store's test module inherits this class and `KnowledgeStoreContract`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from services.common.errors import (
    EditConflictError,
    EntryExistsError,
    EntryNotFoundError,
)
from services.common.records import (
    Action,
    Authorship,
    EntryKind,
    Note,
)
from services.knowledge.checksums import etag
from services.knowledge.protocol import (
    Change,
    EntryFilter,
    KnowledgeQuery,
    KnowledgeStore,
)
from tests.contract.knowledge_entries import (
    ACCEPTED,
    AUTHOR,
    DRAFT,
    FRUIT,
    REJECTED,
    RETIRED,
    MakeStore,
    created,
    entry,
    fact,
    follow,
    ids_found,
    release_of,
    revised,
    rows,
    vector,
)
from tests.contract.knowledge_graph import GraphContract
from tests.contract.knowledge_hostile import HostileTextContract
from tests.contract.knowledge_releases import ReleaseContract


class KnowledgeEditingContract(ReleaseContract, GraphContract, HostileTextContract):
    # Appending

    async def test_an_appended_entry_is_its_newest_revision_and_no_search_sees_it(
        self, fruit: KnowledgeStore
    ) -> None:
        change = created(entry("e", "how many apples are in the basket"))
        await fruit.append([change])
        assert await fruit.newest("e") == change.revision
        assert await fruit.history("e") == (change.revision,)
        found = await fruit.search(KnowledgeQuery("apples", k=9), vector("apples"))
        assert "e" not in [hit.entry.id for hit in found.found]

    async def test_an_edit_of_a_loaded_entry_is_newest_and_searches_see_the_loaded_one(
        self, fruit: KnowledgeStore
    ) -> None:
        edited = revised(FRUIT[0], ACCEPTED, Action.REVIEWED, task="sums")
        await follow(fruit, edited)
        assert await fruit.newest("a") == edited
        query = KnowledgeQuery(FRUIT[0].question)
        found = await fruit.search(query, vector(FRUIT[0].question))
        assert [hit.entry for hit in found.found] == FRUIT[:1]

    async def test_refuses_an_edit_of_another_state_naming_the_entry_and_its_etag(
        self, fruit: KnowledgeStore
    ) -> None:
        first = revised(FRUIT[0])
        read = etag(await fruit.newest("a"))
        await fruit.append([Change(first, read)])
        second = revised(FRUIT[0], revision=3)
        with pytest.raises(EditConflictError) as caught:
            await fruit.append([Change(second, read)])
        assert "'a'" in caught.value.message
        assert etag(first) in caught.value.message
        assert await fruit.newest("a") == first

    async def test_refuses_to_create_what_is_there(self, fruit: KnowledgeStore) -> None:
        await fruit.append([created(entry("e", "x"))])
        for known in ("a", "e"):
            with pytest.raises(EntryExistsError, match=f"'{known}'"):
                await fruit.append([created(entry(known, "x", revision=9))])

    async def test_refuses_to_change_what_is_not_there(self, fruit: KnowledgeStore) -> None:
        with pytest.raises(EntryNotFoundError, match="'nope'"):
            await fruit.append([Change(revised(entry("nope", "x")), "1-0123456789abcdef")])
        with pytest.raises(EntryNotFoundError, match="'nope'"):
            await fruit.newest("nope")
        with pytest.raises(EntryNotFoundError, match="'nope'"):
            await fruit.history("nope")

    async def test_appends_all_changes_or_none(self, fruit: KnowledgeStore) -> None:
        good = Change(revised(FRUIT[0]), etag(await fruit.newest("a")))
        bad = Change(revised(FRUIT[1]), "1-0123456789abcdef")
        with pytest.raises(EditConflictError, match="'b'"):
            await fruit.append([good, created(entry("e", "x")), bad])
        assert (await fruit.newest("a")).entry == FRUIT[0]
        with pytest.raises(EntryNotFoundError):
            await fruit.newest("e")
        await fruit.append([good, created(entry("e", "x"))])
        assert await fruit.newest("a") == good.revision

    async def test_of_twenty_racing_edits_exactly_one_wins(
        self, fruit: KnowledgeStore, make_store: MakeStore
    ) -> None:
        other = make_store()
        read = etag(await fruit.newest("a"))
        steps = [revised(FRUIT[0], author=Authorship(f"editor {n}")) for n in range(20)]
        results = await asyncio.gather(
            *((fruit, other)[n % 2].append([Change(step, read)]) for n, step in enumerate(steps)),
            return_exceptions=True,
        )
        await other.close()
        winners = [step for step, result in zip(steps, results, strict=True) if result is None]
        losers = [result for result in results if result is not None]
        assert [type(loser) for loser in losers] == [EditConflictError] * 19
        assert await fruit.newest("a") == winners[0]
        conflict = {"entry_id": "a", "etag": etag(winners[0])}
        assert all(loser.metadata == conflict for loser in losers)
        assert len(await fruit.history("a")) == 2

    async def test_of_ten_racing_creations_exactly_one_wins(self, fruit: KnowledgeStore) -> None:
        changes = [created(entry("e", f"question {n}")) for n in range(10)]
        results = await asyncio.gather(
            *(fruit.append([change]) for change in changes), return_exceptions=True
        )
        assert sorted(type(r).__name__ for r in results if r) == ["EntryExistsError"] * 9
        winner = changes[results.index(None)]
        assert await fruit.history("e") == (winner.revision,)

    async def test_an_edit_is_seen_by_another_instance_at_once(
        self, fruit: KnowledgeStore, make_store: MakeStore
    ) -> None:
        other = make_store()
        step = revised(FRUIT[0])
        await follow(fruit, step)
        assert await other.newest("a") == step
        await other.close()

    # Newest and history

    async def test_newest_falls_back_to_the_active_release(self, store: KnowledgeStore) -> None:
        newer = [replace(FRUIT[0], revision=4, task="sums"), FRUIT[1]]
        for name, entries in (("fruit", FRUIT), ("newer", newer)):
            await store.load(release_of(name, entries), rows(entries))
        with pytest.raises(EntryNotFoundError):
            await store.newest("a")
        await store.activate("fruit", AUTHOR)
        loaded = await store.newest("a")
        assert (loaded.entry, loaded.status, loaded.action) == (FRUIT[0], ACCEPTED, Action.LOADED)
        assert loaded.author == Authorship("curated", "fruit")
        assert abs(loaded.at - time.time()) < 600
        await store.activate("newer", AUTHOR)
        assert (await store.newest("a")).entry == newer[0]
        with pytest.raises(EntryNotFoundError):
            await store.newest("c")
        assert [step.entry for step in await store.history("c")] == [FRUIT[2]]

    async def test_history_holds_releases_and_edits_by_number_each_once(
        self, fruit: KnowledgeStore
    ) -> None:
        newer = [FRUIT[0], replace(FRUIT[1], revision=5)]
        await fruit.load(release_of("newer", newer), rows(newer))
        edited = revised(FRUIT[0], ACCEPTED, task="sums")
        await follow(fruit, edited, revised(edited, RETIRED, Action.RETIRED, at=2e9))
        await fruit.derive("derived", "newer", list(rows([edited.entry])), [], "ada")
        first, second, third = await fruit.history("a")
        # In three releases, and stands for the first of them.
        assert first.entry == FRUIT[0]
        assert first.author == Authorship("curated", "fruit")
        # An edit stays the edit that it was when a release takes it.
        assert second == edited
        assert (third.entry.revision, third.status, third.at) == (3, RETIRED, 2e9)
        assert [(s.entry.revision, s.author.reason) for s in await fruit.history("b")] == [
            (1, "fruit"),
            (5, "newer"),
        ]

    # Finding

    async def test_finds_by_the_newest_revision(self, fruit: KnowledgeStore) -> None:
        batch = Authorship("ada", "", "b1")
        edited = revised(FRUIT[0], author=batch, task="sums", question="count the cherries")
        await follow(fruit, edited, revised(FRUIT[2], REJECTED, Action.REVIEWED))
        await fruit.append([created(fact("e", "Cherry", "is_a", "fruit", task="botany"))])
        assert await ids_found(fruit) == ["a", "b", "c", "d", "e"]
        assert await ids_found(fruit, text="cherr") == ["a", "e"]
        assert await ids_found(fruit, text="APPLES") == []
        assert await ids_found(fruit, kinds=frozenset({EntryKind.FACT})) == ["d", "e"]
        assert await ids_found(fruit, kinds=frozenset()) == []
        assert await ids_found(fruit, statuses=frozenset({DRAFT})) == ["a", "e"]
        assert await ids_found(fruit, statuses=frozenset({ACCEPTED, REJECTED})) == ["b", "c", "d"]
        assert await ids_found(fruit, statuses=frozenset()) == []
        assert await ids_found(fruit, task="counting") == ["b"]
        assert await ids_found(fruit, task="sums", text="count") == ["a"]
        assert await ids_found(fruit, batch="b1") == ["a"]
        assert await ids_found(fruit, batch="nope") == []
        page = await fruit.find(EntryFilter(text="cherries"))
        assert page.revisions == (edited,)
        page = await fruit.find(EntryFilter(task="counting"))
        assert page.revisions == (await fruit.newest("b"),)

    async def test_a_text_has_all_words_in_any_order_and_case(self, fruit: KnowledgeStore) -> None:
        note = Note(("Draw the ÉCOLE first.",), ())
        await fruit.append([created(replace(entry("School-7", "Who goes there"), body=note))])
        for text in ("école DRAW", "  there\tschool-7 ", "oes", "SCHOOL draw who"):
            assert await ids_found(fruit, text=text) == ["School-7"]
        assert await ids_found(fruit, text="école pears") == []
        assert await ids_found(fruit, text="known everyone") == ["d"]
        assert len(await ids_found(fruit, text=" \t")) == 5

    async def test_facets_count_all_that_match_on_every_page(self, fruit: KnowledgeStore) -> None:
        await follow(fruit, revised(FRUIT[0], REJECTED))
        facets = {
            "kind": {"note": 3, "fact": 1},
            "status": {"rejected": 1, "accepted": 3},
            "task": {"counting": 2, "dates": 2},
        }
        for after in ("", "a", "c"):
            page = await fruit.find(EntryFilter(limit=2, after=after))
            assert page.total == 4
            assert page.facets == facets
        page = await fruit.find(EntryFilter(task="dates"))
        assert page.facets["kind"] == {"note": 1, "fact": 1}
        assert page.facets["task"] == {"dates": 2}

    async def test_pages_follow_each_other_in_code_point_order(self, fruit: KnowledgeStore) -> None:
        more = ["B", "z", "é", "ﾮ", "😀"]
        await fruit.append([created(entry(name, "x")) for name in more[::-1]])
        expected = sorted([*more, *"abcd"])
        for limit in (1, 2, 9, 50):
            ids: list[str] = []
            after = ""
            while True:
                page = await fruit.find(EntryFilter(after=after, limit=limit))
                assert len(page.revisions) <= limit
                ids += [revision.entry.id for revision in page.revisions]
                after = page.next_after
                if not after:
                    break
            assert ids == expected

    async def test_an_empty_store_has_an_empty_page(self, store: KnowledgeStore) -> None:
        page = await store.find(EntryFilter())
        assert (page.revisions, page.total, page.next_after) == ((), 0, "")
        assert page.facets == {"kind": {}, "status": {}, "task": {}}

    # Batches and edits

    async def test_a_batch_is_listed_in_the_order_its_edits_were_made(
        self, fruit: KnowledgeStore
    ) -> None:
        batch, other = Authorship("ada", "", "b1"), Authorship("bob", "", "b2")
        first, second = revised(FRUIT[1], author=batch), revised(FRUIT[0], author=other)
        third = revised(second, author=batch)
        fourth = revised(first, author=batch)
        await follow(fruit, first, second, third, fourth)
        assert await fruit.batch("b1") == (first, third, fourth)
        assert await fruit.batch("b2") == (second,)
        assert await fruit.batch("nope") == ()
        assert await fruit.batch("") == ()

    async def test_edits_are_the_last_accepted_or_retired_ones_by_id(
        self, fruit: KnowledgeStore
    ) -> None:
        accepted = revised(FRUIT[1], ACCEPTED, Action.REVIEWED)
        retired = revised(FRUIT[0], RETIRED, Action.RETIRED)
        again = revised(revised(FRUIT[2], RETIRED, Action.RETIRED), ACCEPTED, Action.REVERTED)
        await follow(
            fruit,
            accepted,
            revised(accepted, DRAFT),  # over an accepted one: that one stays
            retired,
            revised(retired, DRAFT, task="x"),
            revised(retired, REJECTED, revision=4),
            revised(FRUIT[2], RETIRED, Action.RETIRED),
            again,
        )
        await fruit.append([created(entry("e", "x"))])  # a draft alone
        await follow(fruit, revised(entry("e", "x"), REJECTED, Action.REVIEWED))
        assert await fruit.edits() == (retired, accepted, again)

    async def test_a_redirect_is_kept(self, fruit: KnowledgeStore) -> None:
        merged = revised(FRUIT[1], RETIRED, Action.MERGED, redirect_to="a")
        await follow(fruit, merged)
        assert (await fruit.newest("b")).redirect_to == "a"
        assert await fruit.edits() == (merged,)
