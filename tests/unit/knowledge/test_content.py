from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.common.records import Body, Entry, EntryKind, Fact, Note, Rule
from services.knowledge.content import (
    ROWS,
    body_fields,
    entry_of,
    fields_of,
    read_body,
    write_body,
    write_row,
)

COMMON = {"id": "e1", "revision": 2, "task": "sums", "source": "q1", "provenance": "curated"}

VALID: dict[EntryKind, dict[str, Any]] = {
    EntryKind.NOTE: COMMON
    | {"question": "how many", "learning_summary": ["count"], "supplementary_knowledge": []},
    EntryKind.RULE: COMMON | {"rule": "far(X) :- place(X), not near(X).", "confidence": 0.5},
    EntryKind.FACT: COMMON | {"subject": "Paris", "relation": "capital_of", "object": "France"},
}


def parsed(kind: EntryKind, /, **changes: object) -> Entry:
    return entry_of(ROWS[kind].model_validate_json(json.dumps(VALID[kind] | changes)))


def refusal(kind: EntryKind, /, **changes: object) -> str:
    """Field and message of the first thing that is refused."""
    with pytest.raises(ValidationError) as caught:
        parsed(kind, **changes)
    wrong = caught.value.errors()[0]
    return f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"


@pytest.mark.parametrize("kind", EntryKind)
def test_a_row_becomes_an_entry_of_its_kind_and_the_same_row_again(kind: EntryKind) -> None:
    entry = parsed(kind, concepts=["New York", "é"])
    assert entry.kind is kind
    assert entry.concepts == ("New York", "é")
    line = write_row(entry)
    assert entry_of(ROWS[kind].model_validate_json(line)) == entry
    assert write_row(entry_of(ROWS[kind].model_validate_json(line))) == line


def test_rows_of_notes_read_as_they_always_did() -> None:
    assert write_row(parsed(EntryKind.NOTE)) == (
        '{"id": "e1", "revision": 2, "task": "sums", "question": "how many", '
        '"learning_summary": ["count"], "supplementary_knowledge": [], "source": "q1", '
        '"provenance": "curated"}'
    )


def test_rules_and_facts_need_no_question_and_rules_no_confidence() -> None:
    assert parsed(EntryKind.FACT).searched_text == "Paris capital of France"
    row = {k: v for k, v in VALID[EntryKind.RULE].items() if k != "confidence"}
    assert ROWS[EntryKind.RULE].model_validate_json(json.dumps(row)).confidence == 1


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        (EntryKind.NOTE, {"id": "a b"}, "id: Value error, must be 1 to 128 characters"),
        (EntryKind.NOTE, {"id": "x" * 129}, "id: Value error, must be 1 to 128 characters"),
        (EntryKind.NOTE, {"revision": 0}, "revision: Input should be greater than or equal to 1"),
        (EntryKind.NOTE, {"revision": 2**31}, "revision: Input should be less than or equal"),
        (EntryKind.NOTE, {"revision": "1"}, "revision: Input should be a valid integer"),
        (EntryKind.NOTE, {"task": "A task"}, "task: Value error, must be in snake_case or empty"),
        (EntryKind.NOTE, {"question": " "}, "question: Value error, is empty"),
        (EntryKind.NOTE, {"question": "x" * 8001}, "question: String should have at most 8000"),
        (EntryKind.NOTE, {"question": "a\x00"}, "question: Value error, holds the control"),
        (EntryKind.NOTE, {"learning_summary": ["\x7f"]}, "learning_summary.0: Value error, holds"),
        (EntryKind.NOTE, {"learning_summary": []}, ": Value error, learning_summary and"),
        (EntryKind.NOTE, {"kind": "note"}, "kind: Extra inputs are not permitted"),
        (EntryKind.NOTE, {"concepts": [" "]}, "concepts.0: Value error, is empty"),
        (EntryKind.NOTE, {"concepts": ["a"] * 65}, "concepts: Tuple should have at most 64"),
        (EntryKind.NOTE, {"provenance": ""}, "provenance: Value error, is empty"),
        (EntryKind.RULE, {"rule": "far(X) :- "}, "rule: Value error, "),
        (EntryKind.RULE, {"rule": "p(x).\x00"}, "rule: Value error, holds the control"),
        (EntryKind.RULE, {"confidence": 0}, "confidence: Input should be greater than 0"),
        (EntryKind.RULE, {"confidence": 1.5}, "confidence: Input should be less than or equal"),
        (EntryKind.RULE, {"question": "\x1b[0m"}, "question: Value error, holds the control"),
        (EntryKind.FACT, {"relation": "is in"}, "relation: Value error, must be in snake_case"),
        (EntryKind.FACT, {"subject": ""}, "subject: Value error, is empty"),
        (EntryKind.FACT, {"object": "x" * 257}, "object: String should have at most 256"),
    ],
)
def test_refuses_by_field(kind: EntryKind, changes: dict[str, object], expected: str) -> None:
    assert refusal(kind, **changes).startswith(expected)


def test_line_feeds_and_tabs_are_text() -> None:
    assert parsed(EntryKind.NOTE, question="a\n\tb").question == "a\n\tb"


def test_fields_stand_in_the_order_of_a_row() -> None:
    entry = parsed(EntryKind.FACT)
    assert list(fields_of(entry)) == [
        "id",
        "revision",
        "task",
        "question",
        "subject",
        "relation",
        "object",
        "source",
        "provenance",
    ]
    assert list(body_fields(entry.body)) == ["subject", "relation", "object"]


_TEXTS = st.lists(st.text(), max_size=3).map(tuple)
_BODIES: st.SearchStrategy[Body] = st.one_of(
    st.builds(Note, _TEXTS, _TEXTS),
    st.builds(Rule, st.text(), st.floats(0.01, 1)),
    st.builds(Fact, st.text(), st.text(), st.text()),
)


@given(_BODIES)
def test_a_body_is_read_as_it_was_written(body: Body) -> None:
    kind = Entry("e", 1, "", "", body, "", "x").kind
    assert read_body(kind, write_body(body)) == body
