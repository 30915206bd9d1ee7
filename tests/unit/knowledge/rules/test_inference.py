"""What is concluded about a question, and how it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.records import Conclusion, Entry, Fact, ProofStep, Rule
from services.knowledge.rules.engine import Limits
from services.knowledge.rules.inference import Inference, infer


def entry(name: str, body: Rule | Fact, revision: int = 1) -> Entry:
    return Entry(
        id=name,
        revision=revision,
        task="",
        question="",
        body=body,
        source="",
        provenance="curated",
    )


def rules(*texts: str) -> list[Entry]:
    return [entry(f"r{at}", Rule(text)) for at, text in enumerate(texts, start=1)]


def facts(*triples: str) -> list[Entry]:
    """Facts from "Ann, parent, Bob"."""
    return [
        entry(f"f{at}", Fact(*triple.split(", "))) for at, triple in enumerate(triples, start=1)
    ]


def texts(inference: Inference) -> list[str]:
    return [conclusion.text for conclusion in inference.conclusions]


GRANDPARENT = "grandparent(X, Z) :- parent(X, Y), parent(Y, Z)."
FAMILY = facts("Ann, parent, Bob", "Bob, parent, Carl", "Dan, parent, Eve", "Eve, parent, Fay")


def test_a_conclusion_has_the_facts_and_rules_it_rests_on() -> None:
    rule = entry("r1", Rule(GRANDPARENT, confidence=0.9), revision=3)
    assert infer("Who is the grandchild of ANN?", [rule], FAMILY) == Inference(
        (
            Conclusion(
                "Ann grandparent Carl",
                0.9,
                (
                    ProofStep("Ann parent Bob", "f1", 1),
                    ProofStep("Bob parent Carl", "f2", 1),
                    ProofStep(GRANDPARENT, "r1", 3),
                ),
            ),
        )
    )


def test_a_value_of_the_question_is_a_step_of_the_proof() -> None:
    rule = "minutes(M) :- quantity(H, hour), M = H * 60."
    assert infer("How many minutes are 3 hours?", rules(rule), []).conclusions == (
        Conclusion(
            "minutes: 180",
            1.0,
            (ProofStep("the question has 3 hour", "", 0), ProofStep(rule, "r1", 1)),
        ),
    )


def test_a_rule_used_twice_counts_once_and_stands_once() -> None:
    chain = [
        entry("r1", Rule("path(X, Y) :- edge(X, Y).", confidence=0.5)),
        entry("r2", Rule("path(X, Z) :- path(X, Y), edge(Y, Z).", confidence=0.8)),
    ]
    edges = facts("a, edge, b", "b, edge, c", "c, edge, d")
    found = {one.text: one for one in infer("From a to d?", chain, edges).conclusions}
    longest = found["a path d"]
    assert [step.entry_id for step in longest.proof] == ["f1", "f2", "f3", "r1", "r2"]
    assert longest.confidence == pytest.approx(0.4)


def test_what_has_nothing_to_do_with_the_question_is_left_out() -> None:
    assert texts(infer("What is a rhombus?", rules(GRANDPARENT), FAMILY)) == []
    assert texts(infer("What of Fay?", rules(GRANDPARENT), FAMILY)) == ["Dan grandparent Fay"]


def test_what_rests_on_the_question_is_shown_though_it_mentions_nothing_of_it() -> None:
    rule = 'answer("take the bus") :- weekday("Sunday"), not holiday(_, _).'
    assert texts(infer("How do I get home on Sunday?", rules(rule), [])) == [
        "take the bus is answer"
    ]


def test_a_given_fact_is_no_conclusion() -> None:
    same = rules("parent(X, Y) :- parent(X, Y), mentions(X).")
    assert texts(infer("Who is Ann?", same, FAMILY)) == []


def test_most_mentions_come_first_then_the_shortest_proof_then_the_text() -> None:
    chain = rules("path(X, Y) :- edge(X, Y).", "path(X, Z) :- path(X, Y), edge(Y, Z).")
    edges = facts("a, edge, b", "b, edge, c", "c, edge, d", "a, edge, bb")
    assert texts(infer("From a to d?", chain, edges)) == [
        "a path d",
        "a path b",
        "a path bb",
        "c path d",
        "a path c",
        "b path d",
    ]


def test_no_more_conclusions_than_asked_for() -> None:
    chain = rules("path(X, Y) :- edge(X, Y).", "path(X, Z) :- path(X, Y), edge(Y, Z).")
    edges = facts(*(f"n{at}, edge, n{at + 1}" for at in range(20)))
    assert len(infer("n0?", chain, edges).conclusions) == 8
    assert texts(infer("n0?", chain, edges, limits=Limits(max_conclusions=2))) == [
        "n0 path n1",
        "n0 path n2",
    ]


def test_plain_numbers_in_facts_are_numbers() -> None:
    older = rules("older(X, Y) :- age(X, A), age(Y, B), A > B.")
    ages = facts("Ann, age, 41.5", "Bob, age, 7", "Carl, age, old")
    assert texts(infer("Is Ann older than Bob?", older, ages)) == ["Ann older Bob"]


def test_a_number_of_the_question_counts_as_mentioned() -> None:
    doubled = rules("doubled(X, B) :- age(X, A), B = A * 2.")
    assert texts(infer("Who is 14 in doubled years?", doubled, facts("Bob, age, 7"))) == [
        "Bob doubled 14"
    ]


def test_names_that_only_rules_use_are_found_in_the_question() -> None:
    rule = 'capital("Paris") :- mentions(france).'
    assert texts(infer("What of FRANCE?", rules(rule), [])) == ["Paris is capital"]


def test_texts_show_as_the_facts_write_them() -> None:
    rule = rules("visit(X) :- in(X, new_york), mentions(X).")
    found = infer("the MOMA?", rule, facts("MoMA, in, New York"))
    assert texts(found) == ["MoMA is visit"]


@pytest.mark.parametrize(
    ("bad", "skipped"),
    [
        (["not a rule"], ("r2",)),
        (["p(X) :- number(Y)."], ("r2",)),
        (["p(X) :- number(X), not p(X)."], ("r2",)),
        (["grandparent(X) :- number(X)."], ("r2",)),
        (["parent(X) :- number(X)."], ("r2",)),
        (["number(X) :- parent(X, _)."], ("r2",)),
        (["n(1) :- number(1).", "n(M) :- n(N), M = N + 1."], ("r3",)),
        (["p(X) :- unheard_of(X)."], ()),
    ],
)
def test_a_bad_rule_is_skipped_and_named(bad: list[str], skipped: tuple[str, ...]) -> None:
    found = infer("What of Fay?", rules(GRANDPARENT, *bad), FAMILY)
    assert (texts(found), found.skipped, found.limit) == (["Dan grandparent Fay"], skipped, "")


def test_the_absence_of_what_a_skipped_rule_might_derive_is_not_concluded() -> None:
    found = infer(
        "Is Ann childless?",
        rules(
            "person(X) :- parent(X, _).",
            "has_child(X) :- birth(X, Y), not nothing(Z).",
            "mother(X) :- has_child(X), woman(X, yes).",
            "childless(X) :- person(X), not mother(X).",
            "free(X) :- person(X), not busy(X).",
            "busy(X) :- childless(X).",
        ),
        FAMILY,
    )
    assert found.skipped == ("r2", "r4", "r5")
    assert texts(found) == ["Ann is person"]


def test_a_rule_that_does_not_parse_may_have_derived_what_its_text_starts_with() -> None:
    found = infer(
        "Is Ann free?",
        rules("busy(X) :- parent(X, Y) & young(Y).", "free(X) :- parent(X, _), not busy(X)."),
        FAMILY,
    )
    assert found == Inference((), "", ("r1", "r2"))


def test_a_fact_does_not_pass_for_a_value_of_the_question() -> None:
    rule = rules("minutes(M) :- quantity(H, hour), M = H * 60.")
    assert texts(infer("What of 5 hours?", rule, facts("7, quantity, hour"))) == ["minutes: 300"]


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        (Limits(max_facts=3), "max_facts"),
        (Limits(max_derived=1), "max_derived"),
        (Limits(timeout_s=-1), "timeout_s"),
    ],
)
def test_at_a_limit_nothing_is_concluded_and_the_limit_is_named(limits: Limits, limit: str) -> None:
    many = FAMILY * 100 if limit == "timeout_s" else FAMILY
    found = infer("Ann?", rules(GRANDPARENT, "not a rule"), many, limits=limits)
    assert found == Inference((), limit, ("r2",))


def test_a_long_proof_is_shown() -> None:
    chain = rules("path(X, Y) :- edge(X, Y).", "path(X, Z) :- path(X, Y), edge(Y, Z).")
    edges = facts(*(f"n{at}, edge, n{at + 1}" for at in range(300)))
    found = infer("From n0 to n300?", chain, edges, limits=Limits(max_conclusions=1, timeout_s=60))
    assert texts(found) == ["n0 path n300"]
    assert len(found.conclusions[0].proof) == 302


hostile = st.text(max_size=30) | st.text('pq(X), :-=1+*"\u202e\x00\u017f', max_size=40)


@settings(max_examples=50)
@given(
    question=hostile,
    rule_texts=st.lists(hostile, max_size=3),
    triples=st.lists(st.tuples(hostile, hostile, hostile), max_size=3),
)
def test_hostile_entries_and_questions_do_no_harm(
    question: str, rule_texts: list[str], triples: list[tuple[str, str, str]]
) -> None:
    given_facts = [entry(f"f{at}", Fact(*triple)) for at, triple in enumerate(triples)]
    found = infer(question, rules(*rule_texts, "p(X) :- mentions(X)."), given_facts)
    assert found.limit == ""
