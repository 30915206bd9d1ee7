from __future__ import annotations

import pytest

from services.common.records import Entry, Fact, Note, Rule
from services.knowledge.concepts import concept_key
from services.knowledge.embedded.graph_index import GraphIndex
from services.knowledge.graph import (
    GRAPH,
    PER_CONCEPT,
    about,
    most_shared,
    related,
    relations_of,
    seeds,
)


def entry(entry_id: str, body: Note | Rule | Fact, *concepts: str) -> Entry:
    return Entry(entry_id, 1, "", "", body, "", "curated", concepts)


NOTE = Note(("Paris",), ())


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (entry("n", NOTE), set()),
        (entry("n", NOTE, "New York", "new_york", "  "), {"new york"}),
        (
            entry("f", Fact("Paris", "capital_of", "France"), "Europe"),
            {"paris", "capital of", "france", "europe"},
        ),
        (
            entry("r", Rule("grandparent(X, Z) :- parent(X, Y), not is_step(Y, Z).")),
            {"grandparent", "parent", "is step"},
        ),
        (
            entry("r", Rule('drinks(X, "Red Wine") :- lives_in(X, france), X != "bob".')),
            {"drinks", "red wine", "lives in", "france", "bob"},
        ),
    ],
)
def test_an_entry_is_about_what_it_names(made: Entry, expected: set[str]) -> None:
    assert about(made) == expected


def test_a_rule_that_cannot_be_read_is_about_what_it_is_said_to_be() -> None:
    assert about(entry("r", Rule("not a rule"), "Wine")) == {"wine"}


def test_the_relations_that_feed_rules_are_those_of_their_bodies() -> None:
    rules = [
        entry("r1", Rule("far(X) :- not near(X), place(X).")),
        entry("r2", Rule("near(X) :- lies_on(X, Y), X != paris.")),
        entry("r3", Rule("not a rule")),
        entry("f", Fact("Paris", "capital_of", "France")),
    ]
    assert relations_of(rules) == {"near", "place", "lies_on"}


def test_every_concept_of_an_entry_is_a_key() -> None:
    made = entry("f", Fact(" Ünïted  Kingdom ", "part_of", "ﬁ"), "A\tB")
    assert all(concept_key(key) == key for key in about(made))


def test_seeds_are_of_the_question_first_and_of_what_was_found() -> None:
    found = [entry("f", Fact("Lyon", "is_in", "France")), entry("n", NOTE, "Wine", "where")]
    assert seeds("Where is", found) == [
        "where",
        "where is",
        "is",
        "france",
        "is in",
        "lyon",
        "wine",
    ]


FACTS = [entry(f"f{n}", Fact("hub", "has", f"spoke {n}")) for n in range(4)]


def test_what_shares_most_comes_first_then_by_id() -> None:
    reached = {"x": FACTS[:3], "y": [FACTS[2]], "z": [FACTS[2], FACTS[3]]}
    hits = related(reached, [], 9)
    assert [hit.entry.id for hit in hits] == ["f2", "f0", "f1", "f3"]
    assert [(hit.score, hit.leg_ranks) for hit in hits] == [(0.0, {GRAPH: n}) for n in (1, 2, 3, 4)]
    assert [hit.entry.id for hit in related(reached, [FACTS[2]], 2)] == ["f0", "f1"]
    assert related(reached, [], 0) == ()
    assert related({}, FACTS, 9) == ()


def test_keys_that_are_left_out_take_no_place() -> None:
    assert most_shared({"x": [3, 1, 2], "y": [2]}, {2}, 2) == [1, 3]


def test_the_index_looks_at_the_first_of_a_concept_only() -> None:
    many = [entry(f"f{n:03}", Fact("hub", f"has_{n % 2}", f"spoke {n}")) for n in range(100)]
    index = GraphIndex((2 * n, fact) for n, fact in enumerate(many))
    reached = index.reached(["hub", "spoke 99", "nothing"])
    assert {key: list(positions) for key, positions in reached.items()} == {
        "hub": [2 * n for n in range(PER_CONCEPT)],
        "spoke 99": [198],
    }


def test_the_index_lists_facts_of_relations_in_order() -> None:
    many = [entry(f"f{n}", Fact("hub", f"has_{n % 3}", "x")) for n in range(9)]
    index = GraphIndex([*enumerate(many), (9, entry("r", Rule("has_1(X, Y) :- has_2(X, Y).")))])
    assert index.facts(["has_2", "has_1", "has_1"], 4) == [1, 2, 4, 5]
    assert index.facts(["nope"], 4) == []


def test_a_rule_that_says_what_must_never_hold_is_about_nothing() -> None:
    body = Rule("conflict_born(X) :- born_in(X, A), born_in(X, B), A != B.")
    assert about(Entry("r", 1, "", "", body, "", "curated", ("birth",))) == frozenset()
