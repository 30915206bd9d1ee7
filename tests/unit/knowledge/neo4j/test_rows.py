"""Entries, revisions and releases become properties and come back the same."""

from __future__ import annotations

import numpy as np
import pytest

from services.common.records import (
    Action,
    Authorship,
    Entry,
    EntryStatus,
    Fact,
    Note,
    Revision,
    Rule,
)
from services.knowledge.neo4j import rows
from services.knowledge.protocol import Release

BODIES = [
    Note(("think {x}", 'a "quote"'), ()),
    Rule("grandparent(X, Z) :- parent(X, Y), parent(Y, Z).", 0.1),
    Fact("Paris", "capital_of", "France"),
]


@pytest.mark.parametrize("body", BODIES)
def test_an_entry_comes_back_as_it_was(body):
    entry = Entry("é😀", 3, "geo", "where?", body, "s1", "curated", ("Łódź", ""))
    assert rows.entry_of(rows.entry_properties(entry)) == entry


@pytest.mark.parametrize("body", BODIES)
def test_an_edit_comes_back_as_it_was(body):
    entry = Entry("a", 3, "", "", body, "", "curated")
    author = Authorship("ada", "because", "b1")
    revision = Revision(entry, EntryStatus.RETIRED, Action.MERGED, author, 12.5, "b")
    assert rows.edit_of(rows.edit_properties(revision, position=1, call="c")) == revision


def test_a_release_comes_back_as_it_was():
    release = Release("r", "c" * 64, 3, "m", "e" * 64, 8, "me", "parent", "for people")
    assert rows.release_of(rows.release_properties(release) | {"space": 4}) == release


def test_a_vector_comes_back_bit_for_bit():
    vector = np.random.default_rng(0).standard_normal(384).astype(np.float32)
    vector[:3] = np.float32(1e-45), np.float32(-0.0), np.float32(1) / 3
    back = rows.vector_of(
        rows.revision_properties(
            Entry("a", 1, "", "", BODIES[0], "", ""), vector, space=1, since=0, until=9
        )["vector"]
    )
    assert back.tobytes() == vector.tobytes()


def test_a_long_concept_has_a_short_key_of_its_own():
    assert rows.stored_key("paris") == "paris"
    one, other = rows.stored_key("x" * 9000), rows.stored_key("x" * 9001)
    assert len(one) < 400
    assert one != other
