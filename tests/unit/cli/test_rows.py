"""Rows in people's files: read, edited, and refused with file, line and field."""

import io
import json
import sys
from pathlib import Path

import pytest

from services.cli.rows import read_rows, with_fields, write_row
from services.common.errors import InvalidRequestError
from services.genproto.nesycd.v1 import knowledge_pb2 as pb

NOTE = pb.Entry(
    id="percent-1",
    revision=4,
    task="percent",
    question="What is 10 % of 50?",
    note=pb.Note(learning_summary=["Divide by 10."], supplementary_knowledge=["10 % = 0.1"]),
    provenance="curated",
)
RULE = pb.Entry(
    id="r", revision=1, rule=pb.Rule(text="p(X) :- q(X).", confidence=0.5), provenance="curated"
)
FACT = pb.Entry(
    id="f",
    revision=2,
    fact=pb.Fact(subject="Paris", relation="is_capital_of", object="France"),
    provenance="curated",
    concepts=["city"],
)


@pytest.mark.parametrize("entry", [NOTE, RULE, FACT])
def test_a_row_that_was_written_is_read_again(entry, tmp_path: Path):
    file = tmp_path / "row.json"
    file.write_text(write_row(entry), "utf-8")
    assert read_rows(str(file)) == [entry]


def test_rows_may_stand_one_a_line_or_on_several(tmp_path: Path):
    file = tmp_path / "rows.jsonl"
    lines = [json.dumps(json.loads(write_row(FACT))), write_row(NOTE), write_row(RULE)]
    file.write_text("\n".join(lines) + "\n\n", "utf-8")
    assert read_rows(str(file)) == [FACT, NOTE, RULE]


def test_a_minus_is_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(write_row(RULE)))
    assert read_rows("-") == [RULE]


def test_a_new_row_needs_no_revision(tmp_path: Path):
    file = tmp_path / "row.json"
    fields = json.loads(write_row(FACT))
    del fields["revision"]
    file.write_text(json.dumps(fields), "utf-8")
    (entry,) = read_rows(str(file))
    assert entry.revision == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": holds no row"),
        ("{\n  1: 2}", ":2: not JSON: Expecting property name enclosed in double quotes"),
        ("3", ":1: not a row: 3"),
        ('\n\n{"id": "x"}', ":3: has the fields of no kind: a note has learning_summary"),
        (
            '{"id": "x", "rule": "p(X) :- q(X).", "task": "", "source": ""}',
            ":1: provenance: Field required",
        ),
        (
            json.dumps(json.loads(write_row(FACT)) | {"provenance": " "}),
            ":1: provenance: is empty",
        ),
        (
            json.dumps(
                json.loads(write_row(NOTE))
                | {"learning_summary": [], "supplementary_knowledge": []}
            ),
            ":1: learning_summary and supplementary_knowledge are both empty",
        ),
    ],
)
def test_a_bad_file_is_named_with_line_and_field(text, said, tmp_path: Path):
    file = tmp_path / "rows"
    file.write_text(text, "utf-8")
    with pytest.raises(InvalidRequestError) as caught:
        read_rows(str(file))
    assert caught.value.message.startswith(f"{file}{said}")


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(InvalidRequestError) as caught:
        read_rows("/nowhere/row.json")
    assert caught.value.message == "/nowhere/row.json: No such file or directory"


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path):
    file = tmp_path / "rows"
    file.write_bytes(b"\xff")
    with pytest.raises(InvalidRequestError, match="not UTF-8"):
        read_rows(str(file))


@pytest.mark.parametrize(
    ("entry", "setting", "changed"),
    [
        (NOTE, "question=a=b", {"question": "a=b"}),
        (NOTE, "concepts=Ohm's law", {"concepts": ["Ohm's law"]}),
        (NOTE, 'concepts=["a", "b"]', {"concepts": ["a", "b"]}),
        (RULE, "confidence=0.25", {"rule": pb.Rule(text="p(X) :- q(X).", confidence=0.25)}),
        (RULE, "rule=q(X) :- p(X).", {"rule": pb.Rule(text="q(X) :- p(X).", confidence=0.5)}),
    ],
)
def test_a_field_is_set(entry, setting, changed):
    expected = pb.Entry()
    expected.CopyFrom(entry)
    for name in changed:
        expected.ClearField(name)
    expected.MergeFrom(pb.Entry(**changed))
    assert with_fields(entry, [setting]) == expected


@pytest.mark.parametrize(
    ("entry", "setting", "said"),
    [
        (NOTE, "question", "--set: 'question' is not FIELD=VALUE"),
        (NOTE, "rule=p(X).", "--set: rule: Extra inputs are not permitted"),
        (NOTE, "learning_summary=[", "--set: learning_summary: not JSON: Expecting value"),
        (RULE, "confidence=high", "--set: confidence: not JSON: Expecting value"),
        (RULE, "confidence=2", "--set: confidence: Input should be less than or equal to 1"),
        (FACT, "relation=Is A", "--set: relation: must be in snake_case"),
    ],
)
def test_a_field_that_cannot_be_set_is_named(entry, setting, said):
    with pytest.raises(InvalidRequestError) as caught:
        with_fields(entry, [setting])
    assert caught.value.message == said
