from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from services.common.errors import KnowledgeUnavailableError
from services.common.records import Entry, EntryKind, Fact, Note, Rule
from services.knowledge.checksums import release_checksum
from services.knowledge.embedded import vector_index
from services.knowledge.embedded.release_index import ReleaseIndex
from services.knowledge.embedded.releases import complete_release
from services.knowledge.embedded.schema import connect, prepare
from services.knowledge.embedded.writing import write_release
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import KnowledgeQuery, Release
from services.knowledge.ranking import LEXICAL, VECTOR

WEIGHTS = {LEXICAL: 0.3, VECTOR: 0.7}
EMBEDDER = HashEmbedder(32)
WORDS = [f"word{n}" for n in range(40)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    prepare(tmp_path / "knowledge.db")
    return tmp_path / "knowledge.db"


def drawing(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a repeatable draw, no secret


def entry(n: int, draw: random.Random, revision: int = 1) -> Entry:
    words = draw.choices(WORDS, k=6)
    bodies = [
        Note(("think",), (" ".join(words),)),
        Fact(words[0], draw.choice(["likes", "knows"]), words[1]),
        Rule(f"{words[2]}(X) :- likes(X, {words[3]})."),
    ]
    body = draw.choice(bodies)
    question = "" if draw.random() < 0.2 else " ".join(words)
    return Entry(f"e{n:03}", revision, words[4], question, body, words[5], "x", (words[0],))


def load(path: Path, name: str, entries: list[Entry], embedder: HashEmbedder = EMBEDDER) -> None:
    vectors = embedder.embed([e.searched_text for e in entries])
    release = Release(
        *(name, release_checksum(entries), len(entries)),
        *(embedder.model_id, embedder.checksum, embedder.dimension, "x"),
    )
    write_release(path, release, zip(entries, vectors, strict=True))


def indexes(path: Path, names: list[str]) -> Iterator[tuple[ReleaseIndex, ReleaseIndex]]:
    """Per release one index that was made of the one before, and one made anew."""
    before = None
    for name in names:
        with closing(connect(path)) as db, closing(connect(path)) as other:
            key, release = complete_release(db, name)
            anew = ReleaseIndex.read(db, key, release, WEIGHTS)
            if before is None:
                updated = ReleaseIndex.read(other, key, release, WEIGHTS)
            else:
                updated = before.read_next(other, key, release)
            before = updated
            yield updated, anew


def answers(index: ReleaseIndex, draw: random.Random) -> list[object]:
    found: list[object] = []
    for _ in range(20):
        question = " ".join(draw.choices(WORDS, k=4))
        query = KnowledgeQuery(
            question,
            k=5,
            task=draw.choice(["", *WORDS[:9]]),
            kinds=draw.choice([frozenset(EntryKind), frozenset({EntryKind.NOTE})]),
            exclude_source=draw.choice(["", *WORDS[:9]]),
            max_related=8,
        )
        found.append(index.search(query, EMBEDDER.embed([question])[0]))
        found.append(index.facts(draw.sample(["likes", "knows", "nope"], 2), 5))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_an_index_made_of_another_finds_what_one_made_anew_finds(path: Path, seed: int) -> None:
    draw = drawing(seed)
    held = {n: entry(n, draw) for n in range(0, 120, 2)}
    names = []
    for step in range(6):
        load(path, f"r{step}", [held[n] for n in sorted(held)])
        names.append(f"r{step}")
        for n in draw.sample(range(120), 50 if step == 3 else 8):
            held[n] = entry(n, draw, revision=step + 2)
        for n in draw.sample(sorted(held), 6):
            del held[n]
    for updated, anew in indexes(path, [*names, *names[::-1], names[0], names[-1]]):
        assert answers(updated, drawing(seed)) == answers(anew, drawing(seed))


def test_an_index_is_made_of_an_empty_one_and_empty_of_another(path: Path) -> None:
    draw = drawing(0)
    some = [entry(n, draw) for n in range(9)]
    for name, entries in (("none", []), ("some", some), ("other", some[:1])):
        load(path, name, entries)
    for updated, anew in indexes(path, ["none", "some", "none", "none", "other", "some"]):
        assert answers(updated, drawing(1)) == answers(anew, drawing(1))


def test_vectors_of_another_encoder_are_read_anew(path: Path) -> None:
    draw = drawing(0)
    entries = [entry(n, draw) for n in range(9)]
    load(path, "one", entries)
    load(path, "two", entries, HashEmbedder(16))
    [_, (updated, anew)] = list(indexes(path, ["one", "two"]))
    assert np.array_equal(updated._columns.matrix, anew._columns.matrix)


def test_directions_are_taken_over_only_where_nearly_all_is_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_index, "PROJECTED_DIMENSION", 8)
    monkeypatch.setattr(
        vector_index.VectorIndex.__init__,
        "__kwdefaults__",
        {
            "project_from": 1,
            "directions": None,
        },
    )
    draw = drawing(0)
    entries = [entry(n, draw) for n in range(40)]
    changed = [entry(n, draw, revision=2) for n in range(10)]
    load(path, "one", entries)
    load(path, "two", entries[1:])
    load(path, "three", [*changed, *entries[10:]])
    [(one, _), (two, _), (three, _)] = list(indexes(path, ["one", "two", "three"]))
    assert one._vectors.directions is not None
    assert two._vectors.directions is one._vectors.directions
    assert three._vectors.directions is not two._vectors.directions


def test_missing_rows_are_noticed_in_what_is_read_alone(path: Path) -> None:
    draw = drawing(0)
    entries = [entry(n, draw) for n in range(9)]
    load(path, "one", entries[:8])
    load(path, "two", entries)
    with closing(connect(path)) as db:
        db.execute("DELETE FROM vectors WHERE revision_key = (SELECT max(key) FROM revisions)")
    with closing(connect(path)) as db:
        index = ReleaseIndex.read(db, *complete_release(db, "one"), WEIGHTS)
        with pytest.raises(KnowledgeUnavailableError, match="8 of its 9 entries"):
            index.read_next(db, *complete_release(db, "two"))


def test_lists_of_facts_are_kept_a_few_at_a_time(path: Path) -> None:
    facts = [Entry(f"f{n:02}", 1, "", "", Fact("a", f"r{n}", "b"), "", "x") for n in range(20)]
    load(path, "one", facts)
    with closing(connect(path)) as db:
        index = ReleaseIndex.read(db, *complete_release(db, "one"), WEIGHTS)
        for n in (*range(20), 0, 19):
            assert index.facts([f"r{n}"], 9) == (facts[n],)
        assert index.facts(["r1", "r2"], 9) is index.facts(["r2", "r1", "r1"], 9)
        assert index.facts(["r1", "r2"], 1) == (facts[1],)
        assert len(index._known_facts) == 8
