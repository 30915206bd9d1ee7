"""Requests of editors: what is refused, under which field's name, and with which value."""

import pytest

from services.common.errors import InvalidRequestError
from services.common.records import Authorship, EntryKind, EntryStatus, Rule
from services.genproto.nesycd.v1 import knowledge_pb2 as pb
from services.knowledge.service.requests import Checks

NOTE = {"learning_summary": ["Think."]}
EDIT = {"actor": "ana"}


def note(**fields) -> pb.Entry:
    return pb.Entry(**({"id": "n", "question": "Why?", "provenance": "x", "note": NOTE} | fields))


def rule(text="p(X) :- q(X).", **fields) -> pb.Entry:
    fields = {"text": text} | fields
    return pb.Entry(id="r", provenance="x", rule=pb.Rule(**fields))


def refused(checks: Checks) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        checks.done()
    error = caught.value
    assert error.message == "; ".join(f"{v.field}: {v.description}" for v in error.violations)
    return {violation.field: violation.description for violation in error.violations}


@pytest.mark.parametrize(
    ("entry", "field", "description"),
    [
        (pb.Entry(id="n"), "entry.body", "is missing: fill one of note, rule, fact"),
        (note(id=""), "entry.id", "must be 1 to 128 characters without white space, got ''"),
        (note(id="a b"), "entry.id", "must be 1 to 128 characters without white space, got 'a b'"),
        (note(task="Not Snake"), "entry.task", "must be in snake_case or empty, got 'Not Snake'"),
        (note(question=" "), "entry.question", "is empty, got ' '"),
        (
            note(question="a\0"),
            "entry.question",
            r"holds the control character '\x00', got 'a\x00'",
        ),
        (note(provenance=""), "entry.provenance", "is empty, got ''"),
        (note(concepts=["a", ""]), "entry.concepts[1]", "is empty, got ''"),
        (
            note(note={}),
            "entry.note",
            "learning_summary and supplementary_knowledge are both empty",
        ),
        (
            note(note={"supplementary_knowledge": ["a", "b", "c\x1b"]}),
            "entry.note.supplementary_knowledge[2]",
            r"holds the control character '\x1b', got 'c\x1b'",
        ),
        (
            rule(confidence=2),
            "entry.rule.confidence",
            "Input should be less than or equal to 1, got 2.0",
        ),
        (
            pb.Entry(
                id="f", provenance="x", fact=pb.Fact(subject="a", relation="Is A", object="b")
            ),
            "entry.fact.relation",
            "must be in snake_case, got 'Is A'",
        ),
    ],
)
def test_a_wrong_field_of_an_entry_is_named_with_its_value(entry, field, description):
    checks = Checks(pb.CreateEntryRequest(entry=entry, edit=EDIT))
    checks.entry()
    assert refused(checks) == {field: description}


def test_a_rule_that_cannot_be_read_is_refused_with_the_reason():
    checks = Checks(pb.CreateEntryRequest(entry=rule("p(X) :-"), edit=EDIT))
    checks.entry()
    (field,) = refused(checks)
    assert field == "entry.rule.text"


def test_a_long_text_is_shown_shortened():
    checks = Checks(pb.CreateEntryRequest(entry=note(question="x" * 9000)))
    checks.entry()
    assert len(refused(checks)["entry.question"]) < 150


def test_an_entry_is_read_as_revision_1_whatever_the_message_says():
    checks = Checks(pb.UpdateEntryRequest(entry=note(revision=7)))
    entry = checks.entry()
    checks.done()
    assert entry.revision == 1
    assert entry.kind is EntryKind.NOTE


@pytest.mark.parametrize(("fields", "confidence"), [({}, 1.0), ({"confidence": 0.5}, 0.5)])
def test_a_rule_without_confidence_is_sure(fields, confidence):
    checks = Checks(pb.CreateEntryRequest(entry=rule(**fields)))
    entry = checks.entry()
    checks.done()
    assert entry.body == Rule("p(X) :- q(X).", confidence)


def test_every_wrong_field_is_named_at_once():
    checks = Checks(
        pb.FindEntriesRequest(
            text="x" * 1001, kinds=["note", "Note"], statuses=["done"], page_size=0, task="t" * 129
        )
    )
    checks.text("text", 1000)
    checks.choices("kinds", EntryKind)
    checks.choices("statuses", EntryStatus)
    checks.number("page_size", 1, 200, 50)
    checks.text("task")
    said = refused(checks)
    assert list(said) == ["text", "kinds[1]", "statuses[0]", "page_size", "task"]
    assert said["kinds[1]"] == "'Note' is not one of note, rule, fact"
    assert said["page_size"] == "0 is not between 1 and 200"
    assert said["text"].startswith("has 1001 characters, at most 1000, got 'xxx")


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        ({}, "edit.actor"),
        ({"actor": "\t"}, "edit.actor"),
        ({"actor": "a" * 129}, "edit.actor"),
        ({"actor": "a", "reason": "r" * 2001}, "edit.reason"),
        ({"actor": "a", "batch": "b\r"}, "edit.batch"),
    ],
)
def test_an_edit_says_who_and_why_in_bounds(edit, field):
    checks = Checks(pb.RetireEntryRequest(edit=edit))
    checks.author()
    assert list(refused(checks)) == [field]


def test_an_edit_is_read_as_authorship():
    checks = Checks(pb.RetireEntryRequest(edit={"actor": "ana", "reason": "old", "batch": "b"}))
    assert checks.author() == Authorship("ana", "old", "b")
    checks.done()


@pytest.mark.parametrize(("ids", "field"), [([], "entry_ids"), (["a", ""], "entry_ids[1]")])
def test_ids_are_there_and_filled(ids, field):
    checks = Checks(pb.RecordOutcomeRequest(entry_ids=ids))
    checks.texts("entry_ids", 64)
    assert list(refused(checks)) == [field]


def test_no_more_ids_than_allowed_are_taken():
    checks = Checks(pb.RecordOutcomeRequest(entry_ids=map(str, range(65))))
    checks.texts("entry_ids", 64)
    assert refused(checks) == {"entry_ids": "65 given, 1 to 64 are accepted"}


@pytest.mark.parametrize("value", [0.0, -1.0, 1.5, float("nan"), float("inf")])
def test_a_similarity_out_of_range_is_refused(value):
    checks = Checks(pb.FindDuplicateEntriesRequest(min_similarity=value))
    checks.fraction("min_similarity", 0.9)
    assert refused(checks) == {"min_similarity": f"{value:g} is not above 0 and at most 1"}


def test_no_kinds_are_all_kinds():
    assert Checks(pb.FindEntriesRequest()).choices("kinds", EntryKind) == frozenset(EntryKind)
    assert Checks(pb.FindEntriesRequest(kinds=["rule"])).choices("kinds", EntryKind) == {
        EntryKind.RULE
    }
