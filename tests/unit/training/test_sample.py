"""The sample is a package with questions that may be passed on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kb_loader.dump import read_dump
from services.common.errors import ConfigurationError
from services.common.records import Entry, EntryKind, Fact, Note
from training import sample
from training.distilling.dump import write_dump
from training.sample import QUESTIONS, StandIn, read_stand_ins, with_stand_ins, write_sample


class Letters:
    """Texts are alike as far as they share letters."""

    def embed(self, texts):
        counts = np.array([[text.count(chr(97 + n)) for n in range(26)] for text in texts], float)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def note(key, question, task="sums"):
    return Entry(f"note.{key}", 1, task, question, Note((f"Think of {key}.",), ()), key, "teacher")


def test_each_note_gets_the_most_alike_question_of_its_task():
    notes = [note("a", "aaab"), note("b", "bbba"), note("c", "aaaa", task="other")]
    stand_ins = [StandIn(task="sums", question=text) for text in ("bbbb", "aaaa")]
    found = with_stand_ins(notes, stand_ins, Letters())
    assert [(one.id, one.question) for one in found] == [("note.a", "aaaa"), ("note.b", "bbbb")]
    assert found[0] == replace(notes[0], question="aaaa")


def test_a_question_stands_for_one_note_only():
    notes = [note("a", "aaab"), note("b", "aaaa")]
    found = with_stand_ins(notes, [StandIn(task="sums", question="aa")], Letters())
    assert [one.id for one in found] == ["note.b"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "adapters" / "x" / "v1").mkdir(parents=True)
    (folder / "adapters" / "x" / "v1" / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "nesycd.env").write_text("NESYCD_STUDENT__ADAPTERS_DIR=adapters\n")
    (folder / "README.md").write_text("# x@v1\n")
    notes = [note("a", "a benchmark's own question"), note("b", "another one", task="rare")]
    write_dump(notes, folder / "dump", "r", description="", provenance="teacher")
    return folder


def test_the_sample_holds_no_question_of_the_run(tmp_path, package, monkeypatch):
    monkeypatch.setattr(sample, "open_embedder", lambda _: Letters())
    fact = Entry("fact.1", 1, "", "", Fact("Monday", "comes_before", "Tuesday"), "", "curated")
    write_dump([fact], tmp_path / "curated", "c", description="", provenance="curated")
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"task": "sums", "question": "one of ours"}) + "\n")
    out = tmp_path / "sample"
    (out / "dump").mkdir(parents=True)
    (out / "dump" / "old.jsonl").write_text("left from before")

    left = write_sample(package, out, curated=tmp_path / "curated", questions=questions)

    assert left == ["rare"]
    entries = list(read_dump(out / "dump").entries())
    assert [(one.id, one.kind, one.question) for one in entries] == [
        ("fact.1", EntryKind.FACT, ""),
        ("note.a", EntryKind.NOTE, "one of ours"),
    ]
    assert (out / "adapters/x/v1/adapter_model.safetensors").read_bytes() == b"weights"
    assert (out / "nesycd.env").read_text() == "NESYCD_STUDENT__ADAPTERS_DIR=adapters\n"
    assert not (out / "dump" / "old.jsonl").exists()
    assert "benchmark's own" not in "".join(path.read_text() for path in (out / "dump").iterdir())


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text('{"task": "sums", "question": "x"}\n{"task": ""}\n')
    with pytest.raises(ConfigurationError, match=rf"{path}:2: task: String should have at least 1"):
        read_stand_ins(path)


def test_the_questions_that_stand_in_are_different_ones():
    stand_ins = read_stand_ins(QUESTIONS)
    assert len({one.question for one in stand_ins}) == len(stand_ins)
