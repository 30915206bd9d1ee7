"""Lessons become entries, or are kept with the reason."""

import pytest

from services.common.errors import ConfigurationError
from services.common.records import EntryKind, Fact, Rule
from training.distilling.entries import Rejection, sort_lessons
from training.rows import Lesson, Question


def question(key, text="What is asked here?", task="sums"):
    return Question(key=key, dataset="bbh", task=task, text=text, gold="118")


def lesson(key, **changes):
    fields = {
        "key": key,
        "question": key,
        "teacher": "big",
        "learning_summary": (f"Think about {key}.",),
        "supplementary_knowledge": ("A sum has terms.",),
        "asked": ("text",),
    }
    return Lesson(**fields | changes)


def sort(*lessons, **questions):
    known = {one.question: question(one.question) for one in lessons} | questions
    return sort_lessons(lessons, known)


def test_a_lesson_becomes_a_note_with_the_questions_key_as_source():
    found = sort(lesson("q1"))
    (entry,) = found.entries
    assert entry.id == "note.q1"
    assert (entry.task, entry.question, entry.source) == ("sums", "What is asked here?", "q1")
    assert entry.provenance == "big"
    assert entry.revision == 1
    assert entry.body.learning_summary == ("Think about q1.",)
    assert found.rejected == []


def test_entries_are_sorted_and_the_same_for_lessons_in_any_order():
    lessons = [lesson(key) for key in ("b", "a", "c")]
    assert sort(*lessons) == sort(*reversed(lessons))
    assert [one.id for one in sort(*lessons).entries] == ["note.a", "note.b", "note.c"]


def test_a_key_that_is_no_id_gets_a_stable_one():
    first, again = (sort(lesson("my key 1")).entries[0] for _ in range(2))
    assert first.id == again.id
    assert " " not in first.id
    assert first.source == "my key 1"
    assert sort(lesson("my key 2")).entries[0].id != first.id


def test_a_failed_request_and_a_refused_lesson_are_kept_apart():
    found = sort(
        lesson("q1", error="429: quota", learning_summary=(), supplementary_knowledge=()),
        lesson(
            "q2",
            learning_summary=(),
            supplementary_knowledge=(),
            asked=("a", "b"),
            refusals=("form: no section", "leak: 37"),
        ),
    )
    assert found.entries == []
    assert [(row.kind, row.cause, row.reason, row.text) for row in found.rejected] == [
        ("lesson", Rejection.FAILED, "429: quota", "text"),
        ("lesson", Rejection.REFUSED, "leak: 37", "b"),
    ]


def test_what_no_store_would_take_is_rejected_with_field_and_reason():
    found = sort(lesson("q1", learning_summary=("x" * 2001,)), lesson("q2"))
    assert [entry.id for entry in found.entries] == ["note.q2"]
    (row,) = found.rejected
    assert (row.key, row.question, row.kind, row.cause) == (
        "note.q1",
        "q1",
        "note",
        Rejection.INVALID,
    )
    assert row.reason.startswith("learning_summary.0: String should have at most 2000")


def test_rules_and_facts_become_entries_of_their_own():
    found = sort(
        lesson(
            "q1",
            rules=("total( T ) :- number(A), T = A + 1",),
            facts=(("sum", "is_result_of", "addition"),),
        )
    )
    by_id = {entry.id: entry for entry in found.entries}
    assert by_id["rule.q1.1"].body == Rule("total(T) :- number(A), T = A + 1.")
    assert by_id["fact.q1.1"].body == Fact("sum", "is_result_of", "addition")
    assert {entry.source for entry in found.entries} == {"q1"}


@pytest.mark.parametrize(
    ("changes", "cause", "reason"),
    [
        ({"rules": ("if a then b",)}, Rejection.INVALID, "rule: column"),
        ({"rules": ("p(X) :- q(X).",)}, Rejection.UNSOUND, "the predicate q is unknown"),
        ({"rules": ("number(X) :- quantity(X, dollar).",)}, Rejection.UNSOUND, "the head number"),
        ({"facts": (("nonsense", "", ""),)}, Rejection.INVALID, "relation: must be in snake_case"),
        ({"facts": (("Zorbax", "is_a", "planet"),)}, Rejection.LEAK, "it mentions 'Zorbax'"),
        ({"rules": ("total(T) :- number(A), T = A + 118.",)}, Rejection.LEAK, "it mentions '118'"),
    ],
)
def test_a_bad_rule_or_fact_is_rejected_and_its_note_stays(changes, cause, reason):
    asked = question("q1", "Is Zorbax far?")
    found = sort(lesson("q1", **changes), q1=asked)
    assert [entry.kind for entry in found.entries] == [EntryKind.NOTE]
    (row,) = found.rejected
    assert row.cause is cause
    assert row.reason.startswith(reason)
    assert row.text


def test_rules_that_rest_on_a_dropped_rule_are_dropped_too():
    found = sort(lesson("q1", rules=("a(X) :- b(X).", "b(X) :- missing(X).", "c(X) :- number(X).")))
    assert [entry.id for entry in found.entries] == ["note.q1", "rule.q1.3"]
    assert sorted(row.key for row in found.rejected) == ["rule.q1.1", "rule.q1.2"]


def test_a_rule_may_rest_on_another_lessons_facts():
    found = sort(
        lesson("q1", rules=("old(X) :- is_a(X, ruin).",)),
        lesson("q2", facts=(("castle", "is_a", "ruin"),)),
    )
    assert found.rejected == []


def test_of_equal_rules_and_facts_the_first_stays():
    fact = ("Sum", "is_a", "result")
    rule = "c(X) :- number(X)."
    found = sort(
        lesson("q1", facts=(fact,), rules=(rule,)),
        lesson("q2", facts=(("sum", "is_a", "Result"),), rules=("c(X):-number(X)",)),
    )
    assert [(row.key, row.cause, row.reason) for row in found.rejected] == [
        ("rule.q2.1", Rejection.DUPLICATE, "it says the same as rule.q1.1"),
        ("fact.q2.1", Rejection.DUPLICATE, "it says the same as fact.q1.1"),
    ]


def test_a_lesson_about_no_known_question_is_named():
    with pytest.raises(ConfigurationError, match=r"lesson 'q1': question: there is no 'q1'"):
        sort_lessons([lesson("q1")], {})


def test_a_note_with_a_point_of_the_worked_examples_is_rejected():
    copied = "One watt is one volt times one ampere."
    found = sort(lesson("q1", supplementary_knowledge=("A sum has terms.", copied)))
    assert found.entries == []
    (row,) = found.rejected
    assert (row.key, row.cause) == ("note.q1", Rejection.COPY)
    assert row.reason == f"it repeats {copied!r}"
