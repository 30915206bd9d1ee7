from __future__ import annotations

from kb_loader.contradictions import Contradictions, contradictions
from services.common.records import Entry
from services.knowledge.rules.engine import Limits
from services.knowledge.rules.parsing import parse_rule
from tests.unit.kb_loader.entries import fact_entry

BORN = "conflict_born(X, A, B) :- born_in(X, A), born_in(X, B), A != B."


def found(facts: list[Entry], **rules: str) -> Contradictions:
    return contradictions({name: parse_rule(text) for name, text in rules.items()}, facts)


def test_two_objects_of_a_relation_that_allows_one_are_found_once() -> None:
    facts = [
        fact_entry("f1", "Ann", "born_in", "Rome"),
        fact_entry("f2", "Ann", "born_in", "Oslo"),
        fact_entry("f3", "Bob", "born_in", "Oslo"),
    ]
    (one,) = found(facts, r1=BORN).found
    assert set(one.entry_ids) == {"f1", "f2", "r1"}
    assert '"Ann born in Rome" (f1)' in one.text
    assert '"Ann born in Oslo" (f2), by r1' in one.text


def test_two_spellings_of_one_object_do_not_contradict() -> None:
    facts = [
        fact_entry("f1", "Ann", "born_in", "Rome"),
        fact_entry("f2", "ann", "born_in", "ROME"),
    ]
    assert found(facts, r1=BORN) == Contradictions(())


def test_a_contradiction_that_rules_derive_names_them_all() -> None:
    facts = [
        fact_entry("f1", "Rex", "is_a", "dog"),
        fact_entry("f2", "Rex", "is_a", "stone"),
        fact_entry("f3", "Rex", "colour", "brown"),
    ]
    result = found(
        facts,
        r1="alive(X) :- is_a(X, dog).",
        r2="contradiction(X) :- alive(X), is_a(X, stone).",
        r3="brown(X) :- colour(X, brown).",
    )
    (one,) = result.found
    assert sorted(one.entry_ids) == ["f1", "f2", "r1", "r2"]


def test_without_an_integrity_rule_nothing_contradicts() -> None:
    facts = [fact_entry("f1", "Ann", "born_in", "Rome"), fact_entry("f2", "Ann", "born_in", "Oslo")]
    assert found(facts, r1="conflicting(X) :- born_in(X, Y).") == Contradictions(())


def test_a_refused_rule_leaves_contradictions_unknown() -> None:
    facts = [fact_entry("f1", "Ann", "born_in", "Rome")]
    result = found(facts, r1="conflict(X, Y) :- born_in(X, Z).", r2="p(X, Y) :- q(X).")
    assert result.unknown == "the integrity rules rest on rules that are refused: r1"
    assert found(facts, r1=BORN, r2="p(X, Y) :- born_in(X, Z).").unknown == ""
    assert found(facts, r1="conflict(X) :- born_in(X).").unknown.endswith("refused: r1")


def test_a_limit_leaves_contradictions_unknown() -> None:
    facts = [fact_entry(f"f{i}", f"x{i}", "next", f"x{i + 1}") for i in range(50)]
    rules = {
        "r1": parse_rule("before(X, Y) :- next(X, Y)."),
        "r2": parse_rule("before(X, Z) :- before(X, Y), next(Y, Z)."),
        "r3": parse_rule("conflict(X) :- before(X, X)."),
    }
    result = contradictions(rules, facts, limits=Limits(max_derived=100))
    assert result.unknown == "the evaluation reached its limit max_derived"


def test_facts_named_like_what_a_question_says_are_not_used() -> None:
    facts = [fact_entry("f1", "Ann", "number", "5")]
    assert found(facts, r1="conflict(X) :- number(X).") == Contradictions(())
