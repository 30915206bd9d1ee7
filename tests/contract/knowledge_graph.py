"""What every KnowledgeStore adds from the graph."""

from __future__ import annotations

from services.common.records import (
    EntryKind,
)
from services.knowledge.graph import PER_CONCEPT
from services.knowledge.protocol import (
    KnowledgeQuery,
    KnowledgeStore,
    Lookup,
)
from tests.contract.knowledge_entries import (
    AUTHOR,
    PARIS,
    StoreContract,
    fact,
    release_of,
    rows,
    vector,
)


class GraphContract(StoreContract):
    async def related(
        self, store: KnowledgeStore, question: str, *, k: int = 1, limit: int = 8, **query: object
    ) -> list[str]:
        given = {"kinds": frozenset({EntryKind.NOTE}), "task": "geo", **query}
        wanted = KnowledgeQuery(question, k, max_related=limit, **given)
        lookup: Lookup = await store.search(wanted, vector(question))
        for rank, hit in enumerate(lookup.related, start=1):
            assert hit.score == 0
            assert hit.leg_ranks == {"graph": rank}
        return [hit.entry.id for hit in lookup.related]

    async def test_the_graph_adds_what_shares_most_concepts_then_by_id(
        self, paris: KnowledgeStore
    ) -> None:
        none_found = {"task": "nope"}
        assert await self.related(paris, "Where is PARIS?", **none_found) == ["f1", "f2", "r1"]
        # f2 is about two of them.
        assert await self.related(paris, "paris, seine", **none_found) == ["f2", "f1", "r1"]
        assert await self.related(paris, "Paris Seine", limit=2, **none_found) == ["f2", "f1"]
        assert await self.related(paris, "lies on what", **none_found) == ["f2", "f3"]
        assert await self.related(paris, "Rhône", **none_found) == ["f3"]
        assert await self.related(paris, "a place far away", **none_found) == ["r2"]
        assert await self.related(paris, "nothing known", **none_found) == []

    async def test_the_graph_starts_from_what_was_found_as_well(
        self, paris: KnowledgeStore
    ) -> None:
        # The note found is about France and Wine: r1 names both, f1 one.
        assert await self.related(paris, "name a country") == ["r1", "f1"]
        assert await self.related(paris, "name a country", limit=1) == ["r1"]
        assert await self.related(paris, "name a country", limit=0) == []

    async def test_the_graph_does_not_repeat_what_was_found(self, paris: KnowledgeStore) -> None:
        any_kind = {"kinds": frozenset(EntryKind), "task": ""}
        assert await self.related(paris, "Paris lies on Seine", **any_kind) == ["f1", "f3", "r1"]

    async def test_the_graph_adds_nothing_of_an_excluded_source(
        self, paris: KnowledgeStore
    ) -> None:
        assert await self.related(paris, "seine", task="no", exclude_source="q7") == []

    async def test_of_one_concept_only_the_first_entries_are_looked_at(
        self, store: KnowledgeStore
    ) -> None:
        many = [fact(f"h{i:02}", "hub", f"has_{i}", f"spoke {i}") for i in range(PER_CONCEPT + 8)]
        await store.load(release_of("hub", many), rows(many))
        await store.activate("hub", AUTHOR)
        first = [e.id for e in many[:PER_CONCEPT]]
        assert await self.related(store, "hub", limit=64) == first
        # Reached by its own spoke, but not by the hub, though it is about both.
        assert await self.related(store, "hub, spoke 35", limit=64) == [*first, "h35"]
        assert await self.related(store, "hub, spoke 31", limit=64) == ["h31", *first[:-1]]

    async def test_lists_facts_of_relations_by_id(self, paris: KnowledgeStore) -> None:
        assert await paris.facts(["lies_on"], 9) == (PARIS[1], PARIS[2])
        assert await paris.facts(["lies_on", "capital_of", "nope"], 9) == tuple(PARIS[:3])
        assert await paris.facts(["lies_on", "lies_on", "capital_of"], 2) == tuple(PARIS[:2])
        assert await paris.facts(["far"], 9) == ()
        assert await paris.facts([], 9) == ()

    async def test_there_are_no_facts_without_a_release(self, store: KnowledgeStore) -> None:
        assert await store.facts(["lies_on"], 9) == ()

    async def test_facts_follow_an_activation(self, paris: KnowledgeStore) -> None:
        assert len(await paris.facts(["lies_on"], 9)) == 2
        await paris.derive("fewer", "paris", [], ["f2"], "ada")
        await paris.activate("fewer", AUTHOR)
        assert await paris.facts(["lies_on"], 9) == (PARIS[2],)
        assert await self.related(paris, "seine", task="no") == []
