from __future__ import annotations

from kb_loader.orphans import Orphans
from services.common.records import Entry
from tests.unit.kb_loader.entries import fact_entry, note_entry, rule_entry


def orphans(*entries: Entry) -> tuple[str, ...]:
    found = Orphans(entry for entry in entries if entry.id[0] in "fr")
    for entry in entries:
        found.touch(entry)
    return found.found()


NOTE = note_entry("n1", "What is the capital of France?")


def test_a_fact_about_what_a_question_mentions_is_reached() -> None:
    assert orphans(NOTE, fact_entry("f1", "Paris", "capital_of", "France")) == ()
    assert orphans(NOTE, fact_entry("f1", "Oslo", "seat_of", "Norway")) == ("f1",)


def test_a_concept_of_a_note_leads_on() -> None:
    note = note_entry("n1", "Where is it?", concepts=("Norway",))
    assert orphans(note, fact_entry("f1", "Oslo", "seat_of", "Norway")) == ()


def test_facts_lead_to_facts_by_subject_and_object_but_not_by_relation() -> None:
    facts = (
        fact_entry("f1", "Paris", "lies_in", "France"),
        fact_entry("f2", "Louvre", "lies_in", "Paris"),
        fact_entry("f3", "Oslo", "lies_in", "Norway"),
    )
    assert orphans(NOTE, *facts) == ("f3",)


def test_a_rule_is_reached_by_facts_it_asks_for_and_leads_to_what_feeds_it() -> None:
    graph = (
        fact_entry("f1", "Paris", "lies_in", "France"),
        rule_entry("r1", "near(X, Y) :- lies_in(X, Y), borders(X, Y)."),
        fact_entry("f2", "Ulm", "borders", "Neu-Ulm"),
        rule_entry("r2", "aunt(X) :- sister(X, Y)."),
        fact_entry("f3", "Ann", "sister", "Bob"),
    )
    assert orphans(NOTE, *graph) == ("f3", "r2")


def test_without_any_question_nothing_is_an_orphan() -> None:
    assert orphans(fact_entry("f1", "Oslo", "seat_of", "Norway")) == ()
