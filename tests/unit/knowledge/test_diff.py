from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.common.records import Entry, Fact, Note, Rule
from services.knowledge.diff import FieldChange, diff_entries, field_changes

NOTE = Entry("n1", 1, "ages", "How old?", Note(("a", "b"), ()), "", "curated")
FACT = Entry("f1", 1, "", "", Fact("Paris", "capital_of", "France"), "", "curated", ("city",))


async def stream(*entries: Entry) -> AsyncIterator[Entry]:
    for entry in entries:
        yield entry


def test_a_changed_field_is_shown_as_people_read_it() -> None:
    new = replace(NOTE, revision=2, body=Note(("a", "c"), ("d",)))
    assert field_changes(NOTE, new) == (
        FieldChange("learning_summary", "a\nb", "a\nc"),
        FieldChange("supplementary_knowledge", "", "d"),
    )


def test_the_revision_number_alone_is_no_field_change() -> None:
    assert field_changes(NOTE, replace(NOTE, revision=2)) == ()


def test_a_new_entry_changes_every_filled_field() -> None:
    assert field_changes(None, FACT) == (
        FieldChange("kind", "", "fact"),
        FieldChange("subject", "", "Paris"),
        FieldChange("relation", "", "capital_of"),
        FieldChange("object", "", "France"),
        FieldChange("provenance", "", "curated"),
        FieldChange("concepts", "", "city"),
    )
    assert [change.old for change in field_changes(FACT, None)] == [
        change.new for change in field_changes(None, FACT)
    ]


def test_an_entry_of_another_kind_changes_its_kind_and_both_bodies() -> None:
    rule = replace(FACT, body=Rule("p(X) :- q(X).", 0.5))
    changed = {change.field: change.new for change in field_changes(FACT, rule)}
    assert changed == {
        "kind": "rule",
        "subject": "",
        "relation": "",
        "object": "",
        "rule": "p(X) :- q(X).",
        "confidence": "0.5",
    }


async def test_two_releases_are_compared_entry_by_entry() -> None:
    entries = [replace(NOTE, id=name) for name in "abcd"]
    old = stream(*entries)
    new = stream(entries[1], replace(entries[2], task="x"), replace(entries[3], revision=2), FACT)
    found = [diff async for diff in diff_entries(old, new)]
    assert [(diff.entry_id, diff.change, len(diff.changes)) for diff in found] == [
        ("a", "removed", 5),
        ("c", "changed", 1),
        ("d", "changed", 0),
        ("f1", "added", 6),
    ]


@given(old=st.sets(st.text(max_size=2)), new=st.sets(st.text(max_size=2)))
async def test_what_is_added_and_removed_is_the_difference_of_the_ids(
    old: set[str], new: set[str]
) -> None:
    streams = (stream(*(replace(NOTE, id=name) for name in sorted(ids))) for ids in (old, new))
    found = [diff async for diff in diff_entries(*streams)]
    assert {diff.entry_id for diff in found if diff.change == "removed"} == old - new
    assert {diff.entry_id for diff in found if diff.change == "added"} == new - old
    assert not [diff for diff in found if diff.change == "changed"]
