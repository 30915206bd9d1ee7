from __future__ import annotations

from dataclasses import replace

from kb_loader.check import Finding, FindingKind
from kb_loader.show import difference_lines, finding_lines, ids_text, verdict
from services.common.records import Note
from services.knowledge.diff import EntryDiff, field_changes
from tests.unit.kb_loader.entries import fact_entry, note_entry


def test_only_the_lines_that_differ_are_shown() -> None:
    old = note_entry("n", "q", "one", "two", "three")
    new = replace(old, body=Note((), ("one", "2", "three")), task="t")
    lines = [*difference_lines(EntryDiff("n", old, new, field_changes(old, new)))]
    assert lines == [
        "~ note n",
        "    task:",
        "      + t",
        "    supplementary_knowledge:",
        "      - two",
        "      + 2",
    ]


def test_lines_in_another_order_are_said_to_be() -> None:
    old = note_entry("n", "q", "one", "two")
    new = replace(old, body=Note((), ("two", "one")))
    lines = [*difference_lines(EntryDiff("n", old, new, field_changes(old, new)))]
    assert lines[1:] == ["    supplementary_knowledge:", "      (the same lines in another order)"]


def test_a_removed_entry_is_shown_by_its_question_or_its_text() -> None:
    entry = fact_entry("f", "Ann", "born_in", "Rome")
    assert [*difference_lines(EntryDiff("f", entry, None, ()))] == ["- fact f: Ann born in Rome"]


def test_twenty_findings_of_a_kind_are_shown_and_the_rest_counted() -> None:
    findings = [Finding(FindingKind.LEAK, (f"n{i}",), "41") for i in range(25)]
    lines = [*finding_lines(findings)]
    assert lines[0] == "warning: Notes that repeat their own question's numbers or names: 25"
    assert lines[20] == "  n19: 41"
    assert lines[21] == "  ... and 5 more; --json lists them all"
    assert verdict(findings) == "0 errors, 25 warnings"


def test_a_finding_about_no_entry_is_shown_by_its_detail() -> None:
    lines = [*finding_lines([Finding(FindingKind.UNCHECKED, (), "too many facts: 9")])]
    assert lines[1] == "  too many facts: 9"


def test_twenty_ids_are_shown_and_the_rest_counted() -> None:
    ids = [f"n{i}" for i in range(22)]
    assert ids_text(ids).endswith("n18, n19 and 2 more")
    assert ids_text(ids[:2]) == "n0, n1"
