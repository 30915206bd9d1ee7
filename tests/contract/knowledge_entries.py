"""Entries, steps and stores that the suites of KnowledgeStore share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest

from services.common.records import (
    Action,
    Authorship,
    Body,
    Entry,
    EntryKind,
    EntryStatus,
    Fact,
    Note,
    Revision,
    Rule,
)
from services.knowledge.checksums import etag, release_checksum
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import Change, EntryFilter, KnowledgeStore, Release, Vector

EMBEDDER = HashEmbedder(64)

AUTHOR = Authorship("ada", "to test")

MakeStore = Callable[[], KnowledgeStore]


def entry(
    entry_id: str,
    question: str,
    *,
    task: str = "",
    source: str = "",
    kind: EntryKind = EntryKind.NOTE,
    revision: int = 1,
    body: tuple[str, ...] = ("think",),
) -> Entry:
    bodies: dict[EntryKind, Body] = {
        EntryKind.NOTE: Note(body, ("fact é",)),
        EntryKind.RULE: Rule("rains(X) :- wet(X).", 0.5),
        EntryKind.FACT: Fact(entry_id, "is_known_to", "everyone"),
    }
    return Entry(entry_id, revision, task, question, bodies[kind], source, "curated")


def release_of(
    name: str, entries: list[Entry], *, embedder: HashEmbedder = EMBEDDER, count: int | None = None
) -> Release:
    return Release(
        name=name,
        checksum=release_checksum(entries),
        entries=len(entries) if count is None else count,
        embedding_model=embedder.model_id,
        embedding_checksum=embedder.checksum,
        dimension=embedder.dimension,
        provenance="curated",
    )


def rows(entries: list[Entry], embedder: HashEmbedder = EMBEDDER) -> Iterator[tuple[Entry, Vector]]:
    yield from zip(entries, embedder.embed([e.searched_text for e in entries]), strict=True)


def vector(question: str) -> Vector:
    return EMBEDDER.embed([question])[0]


FRUIT = [
    entry("a", "how many apples are in the basket", task="counting", source="q1"),
    entry("b", "how many pears are in the basket", task="counting", source="q2"),
    entry("c", "which day comes after monday", task="dates", source="q3"),
    entry("d", "which month comes after june", task="dates", kind=EntryKind.FACT),
]

DRAFT, ACCEPTED, REJECTED, RETIRED = EntryStatus


def fact(entry_id: str, subject: str, relation: str, object_: str, **fields: str) -> Entry:
    body = Fact(subject, relation, object_)
    given = {"task": "", "question": "", "source": "", "provenance": "curated", **fields}
    return Entry(id=entry_id, revision=1, body=body, **given)


def rule(entry_id: str, text: str, *concepts: str) -> Entry:
    return Entry(entry_id, 1, "", "", Rule(text, 0.9), "", "curated", concepts)


def revised(
    made: Entry | Revision,
    status: EntryStatus = DRAFT,
    action: Action = Action.UPDATED,
    *,
    revision: int | None = None,
    author: Authorship = AUTHOR,
    at: float = 1e9 + 0.125,
    redirect_to: str = "",
    **content: str,
) -> Revision:
    old = made.entry if isinstance(made, Revision) else made
    new = replace(old, revision=revision or old.revision + 1, **content)
    return Revision(new, status, action, author, at, redirect_to)


def created(made: Entry, status: EntryStatus = DRAFT) -> Change:
    return Change(revised(made, status, Action.CREATED, revision=made.revision), "")


async def follow(store: KnowledgeStore, *steps: Revision) -> None:
    """Appends steps one after another, whatever the entry is at."""
    for step in steps:
        await store.append([Change(step, etag(await store.newest(step.entry.id)))])


PARIS = [
    fact("f1", "Paris", "capital_of", "France"),
    fact("f2", "Paris", "lies_on", "Seine", source="q7"),
    fact("f3", "Lyon", "lies_on", "Rhône"),
    replace(entry("n1", "name a large country", task="geo"), concepts=("France", "Wine")),
    rule("r1", 'drinks(X, "Wine") :- capital_of(X, france).', "Paris"),
    rule("r2", "far(X) :- not near(X), place(X)."),
]


MANY = [entry(f"m{i:04}", f"how many apples weigh {i} grams") for i in range(600)]


async def ids_found(store: KnowledgeStore, **wanted: object) -> list[str]:
    """Ids of all entries that match, which have to fit on one page."""
    page = await store.find(EntryFilter(**wanted))
    assert page.total == len(page.revisions)
    assert page.next_after == ""
    return [revision.entry.id for revision in page.revisions]


class StoreContract:
    @pytest.fixture
    async def store(self, make_store: MakeStore) -> AsyncIterator[KnowledgeStore]:
        store = make_store()
        yield store
        await store.close()

    @pytest.fixture
    async def fruit(self, store: KnowledgeStore) -> KnowledgeStore:
        await store.load(release_of("fruit", FRUIT), rows(FRUIT))
        await store.activate("fruit", AUTHOR)
        return store

    @pytest.fixture
    async def paris(self, store: KnowledgeStore) -> KnowledgeStore:
        await store.load(release_of("paris", PARIS), rows(PARIS))
        await store.activate("paris", AUTHOR)
        return store
