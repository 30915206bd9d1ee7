"""Checking knowledge: a dump that the loader takes, and everything else kept with its reason."""

import json

import pytest
from typer.testing import CliRunner

from kb_loader.cli import app
from kb_loader.dump import read_dump
from services.common.errors import ConfigurationError
from services.common.records import EntryKind
from services.knowledge.fake import HashEmbedder
from tests.unit.training.stages.runs import config, give, job
from tests.unit.training.students import question
from training.distilling.entries import Rejected
from training.row_file import read_rows
from training.rows import Lesson
from training.stages.check_knowledge import STAGE

SCRIPTED = {
    "question": "q0",
    "teacher": "big",
    "learning_summary": ("Add in order.",),
    "supplementary_knowledge": ("A sum has terms.",),
    "asked": ("text",),
}


def lesson(number, **changes):
    return Lesson(**SCRIPTED | {"key": f"q{number}", "question": f"q{number}"} | changes)


def refused(number):
    return lesson(
        number,
        learning_summary=(),
        supplementary_knowledge=(),
        asked=("a", "b"),
        refusals=("form: x", "leak: y"),
    )


@pytest.fixture(autouse=True)
def _hash_embedder(monkeypatch):
    monkeypatch.setattr("services.knowledge.embedder.open_embedder", lambda _: HashEmbedder())


@pytest.fixture
def run(tmp_path):
    give(tmp_path, "data/train.jsonl", [question(n) for n in range(6)])
    give(
        tmp_path,
        "distil-knowledge/lessons.jsonl",
        [
            lesson(
                2, rules=("c(X) :- number(X).", "bad"), facts=(("sum", "is_result_of", "adding"),)
            ),
            lesson(0),
            refused(1),
            lesson(
                3, error="429: quota", learning_summary=(), supplementary_knowledge=(), asked=()
            ),
            lesson(4, asked=("x", "text"), refusals=("limits: long",)),
        ],
    )
    return tmp_path


def test_the_dump_is_one_that_the_loader_takes(run, monkeypatch):
    counts = STAGE.run(job(run, "check-knowledge"))
    folder = run / "check-knowledge/dump"
    dump = read_dump(folder)
    assert dump.counts == {EntryKind.NOTE: 3, EntryKind.RULE: 1, EntryKind.FACT: 1}
    assert dump.respelled == 0
    assert dump.manifest.provenance == "big"
    assert [entry.id for entry in dump.entries()] == [
        "fact.q2.1",
        "note.q0",
        "note.q2",
        "note.q4",
        "rule.q2.1",
    ]
    assert counts == {"lessons": 5, "notes": 3, "rules": 1, "facts": 1, "rejected": 3}
    monkeypatch.setenv("NESYCD_KNOWLEDGE__PATH", str(run / "knowledge.db"))
    verified = CliRunner().invoke(app, ["verify", str(folder)])
    assert verified.exit_code == 0, verified.output


def test_everything_rejected_is_kept_with_its_reason(run):
    STAGE.run(job(run, "check-knowledge"))
    rows = list(read_rows(run / "check-knowledge/rejected.jsonl", Rejected))
    assert [(row.key, row.cause.value) for row in rows] == [
        ("q1", "every reply refused"),
        ("q3", "no reply"),
        ("rule.q2.2", "invalid"),
    ]
    assert rows[2].text == "bad"


def test_nothing_of_a_failed_request_is_in_the_dump(run):
    STAGE.run(job(run, "check-knowledge"))
    assert "429" not in (run / "check-knowledge/dump/notes.jsonl").read_text()


def test_the_card_counts_tasks_reasons_and_re_asks(run):
    STAGE.run(job(run, "check-knowledge"))
    card = (run / "check-knowledge/card.md").read_text()
    assert "- Teacher: big" in card
    assert "- Errors: 5; replies: 6, of which 2 were asked for again" in card
    assert "| sums | 3 | 1 | 1 | 3 |" in card
    assert "| lesson | every reply refused | 1 |" in card
    assert "| rule | invalid | 1 |" in card
    assert "| form | 1 |" in card
    assert "BIG-Bench" in card  # its authors' wish


def test_the_same_lessons_give_the_same_bytes_whatever_their_order(run):
    STAGE.run(job(run, "check-knowledge"))
    folder = run / "check-knowledge"
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    lessons = list(read_rows(run / "distil-knowledge/lessons.jsonl", Lesson))
    give(run, "distil-knowledge/lessons.jsonl", lessons[::-1])
    STAGE.run(job(run, "check-knowledge"))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == first


def test_what_a_killed_run_left_behind_is_not_in_the_dump(run):
    dump = run / "check-knowledge/dump"
    dump.mkdir(parents=True)
    (dump / "facts.jsonl").write_text("half a li")
    (dump / "vectors.npy").write_text("old")
    STAGE.run(job(run, "check-knowledge"))
    assert sorted(path.name for path in dump.iterdir()) == [
        "facts.jsonl",
        "manifest.json",
        "notes.jsonl",
        "rules.jsonl",
    ]


def test_without_one_note_it_stops_and_says_where_the_reasons_are(run):
    give(run, "distil-knowledge/lessons.jsonl", [refused(0), refused(1)])
    with pytest.raises(ConfigurationError, match=r"no note is left of 2 lessons; .*rejected.jsonl"):
        STAGE.run(job(run, "check-knowledge"))
    rows = (run / "check-knowledge/rejected.jsonl").read_text().splitlines()
    assert [json.loads(row)["reason"] for row in rows] == ["leak: y", "leak: y"]


def test_a_malformed_lesson_is_named_by_file_line_and_field(run):
    path = run / "distil-knowledge/lessons.jsonl"
    path.write_text('{"key": "q1", "question": "q1", "learning_summary": "no list"}\n')
    with pytest.raises(ConfigurationError, match=r"lessons.jsonl:1: learning_summary: "):
        STAGE.run(job(run, "check-knowledge"))


def test_its_settings_are_what_merging_goes_by(tmp_path):
    base = STAGE.settings(config(tmp_path))
    assert base != STAGE.settings(config(tmp_path, distil={"duplicate_similarity": 0.5}))
    assert base != STAGE.settings(config(tmp_path, knowledge={"embedder": "other"}))
    assert base == STAGE.settings(config(tmp_path, package={"release": "other-name"}))
