"""What every KnowledgeStore does with text that means something to somebody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.common.errors import (
    InvalidRequestError,
)
from services.common.records import (
    Action,
    Authorship,
    Entry,
    Fact,
    Note,
    Revision,
)
from services.knowledge.protocol import (
    Change,
    EntryFilter,
    KnowledgeQuery,
    KnowledgeStore,
)
from tests.contract.knowledge_entries import (
    AUTHOR,
    DRAFT,
    StoreContract,
    created,
    entry,
    follow,
    ids_found,
    release_of,
    revised,
    rows,
    vector,
)

HOSTILE = [
    "C++ (a AND NOT b) *x ?y ~z^2 [1 TO 3] field:value && || !",
    "\"'`}]) DETACH DELETE n // $param {a: 1} \\u0041 \\n %s {0}",
    "'; DROP TABLE entries; --",
    "\x01\x02\x0b\x1f\x7f\x85",
    "\u202eright to left\u202c \u200f\u05d0 \ufeff\u2028",
    "😀👩\u200d👩\u200d👧 日本語 ﬁ é e\u0301 \U0010ffff",
    " \t\r\n space around \r\n",
]


class HostileTextContract(StoreContract):
    @pytest.mark.parametrize("text", HOSTILE)
    async def test_hostile_text_is_kept_and_found_as_text(
        self, fruit: KnowledgeStore, text: str
    ) -> None:
        name = "".join(text.split())[:40]
        body = Note((text, text + "."), ())
        note = Entry(name, 1, text, text, body, text, text, (text, "ﬁn"))
        author = Authorship(text, text, text)
        change = Change(Revision(note, DRAFT, Action.CREATED, author, 1.5, text), "")
        await fruit.append([created(entry("plain", "x")), change])
        assert await fruit.newest(name) == change.revision
        assert await fruit.history(name) == (change.revision,)
        assert await fruit.batch(text) == (change.revision,)
        assert await ids_found(fruit, batch=text, task=text, text=text) == [name]
        for word in text.split():
            assert name in await ids_found(fruit, text=word)
        page = await fruit.find(EntryFilter(task=text))
        assert page.facets["task"] == {text: 1}

    async def test_hostile_text_in_a_release_is_kept_and_searched_as_text(
        self, store: KnowledgeStore
    ) -> None:
        notes = [
            Entry(f"n{i}", 1, text, text, Note((text,), (text,)), text, text, (text,))
            for i, text in enumerate(HOSTILE)
        ]
        facts = [
            Entry(f"f{i}", 1, text, "", Fact(text, text, text), text, text)
            for i, text in enumerate(HOSTILE)
        ]
        entries = [*facts, *notes]
        release = replace(release_of("hostile' OR 1=1", entries), provenance=HOSTILE[1])
        await store.load(release, rows(entries))
        await store.activate(release.name, Authorship(HOSTILE[1], HOSTILE[2]))
        assert await store.active_release() == release
        assert [e async for e, _ in store.entries(release.name)] == entries
        for text, note, its_fact in zip(HOSTILE, notes, facts, strict=True):
            query = KnowledgeQuery(text, 9, task=text, max_related=64)
            lookup = await store.search(query, vector(text))
            assert {hit.entry.id for hit in lookup.found} == {note.id, its_fact.id}
            query = KnowledgeQuery(text, 99, exclude_source=text)
            lookup = await store.search(query, vector(text))
            assert len(lookup.found) == len(entries) - 2
            assert await store.facts([text], 9) == (its_fact,)
        assert await store.relations(release.name) == set(HOSTILE)
        step = revised(facts[0])
        await follow(store, step)
        assert [s.entry for s in await store.history("f0")] == [facts[0], step.entry]

    async def test_long_text_is_kept(self, fruit: KnowledgeStore) -> None:
        long = "apples and pears " * 6000
        body = Note((long,), (long,))
        note = replace(entry("long", long), body=body)
        await fruit.append([Change(revised(note, author=Authorship("ada", long)), "")])
        assert (await fruit.newest("long")).entry.body == body
        assert (await fruit.newest("long")).author.reason == long
        assert await ids_found(fruit, text="long pears") == ["long"]
        release = await fruit.derive("next", "fruit", list(rows([note])), [], long)
        assert release.provenance == long
        await fruit.activate("next", AUTHOR)
        lookup = await fruit.search(KnowledgeQuery(long), vector(long))
        assert lookup.found[0].entry == note

    async def test_the_character_zero_is_kept_or_refused_by_name(
        self, fruit: KnowledgeStore
    ) -> None:
        note = entry("zero", "a\x00b", body=("c\x00d",))
        try:
            await fruit.append([created(note)])
        except InvalidRequestError as error:
            assert "zero" in error.message
        else:
            assert (await fruit.newest("zero")).entry == note
            assert await ids_found(fruit, text="c\x00d") == ["zero"]
