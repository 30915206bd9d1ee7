from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb_loader.dump import read_dump, write_manifest
from services.common.records import EntryKind, Note
from services.knowledge.checksums import entry_checksum
from services.knowledge.content import NoteRow, entry_of
from tests.unit.kb_loader.dumps import NOTE, fact, message, note, rule, write, write_all


def test_a_dump_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, note(), note(id="ages-002", task=""))
    written = write_manifest(tmp_path, "r1", description="d", provenance="p")
    dump = read_dump(tmp_path)
    assert dump == written
    assert dump.rows == 2
    assert dump.tasks == {"": 1, "ages": 1}
    assert dump.manifest.release == "r1"
    assert [entry.id for entry in dump.entries()] == ["ages-001", "ages-002"]
    assert next(dump.entries()).question == NOTE["question"]


def test_a_new_manifest_keeps_description_and_provenance(tmp_path: Path) -> None:
    write(tmp_path, note())
    write_manifest(tmp_path, "r1", description="d", provenance="p")
    write(tmp_path, note(), note(id="b"))
    dump = write_manifest(tmp_path, "r2")
    assert (dump.manifest.description, dump.manifest.provenance) == ("d", "p")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "notes.jsonl"]


def test_the_checksum_is_of_the_entries_not_of_their_spelling(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(NOTE, ensure_ascii=True))
    first = write_manifest(tmp_path, "r1")
    write(tmp_path, json.dumps(NOTE, ensure_ascii=False, separators=(",", ":")))
    assert write_manifest(tmp_path, "r1").checksum == first.checksum
    write(tmp_path, note(revision=2))
    assert write_manifest(tmp_path, "r1").checksum != first.checksum


BAD_ROWS = [
    (note(id="a b"), "id: must be 1 to 128 characters without white space, got 'a b'"),
    (note(id=""), "id: must be 1 to 128 characters without white space, got ''"),
    (note(revision=0), "revision: Input should be greater than or equal to 1, got 0"),
    (note(revision="1"), "revision: Input should be a valid integer, got '1'"),
    (note(task="Two Words"), "task: must be in snake_case or empty, got 'Two Words'"),
    (note(question=" \n"), "question: is empty, got ' \\n'"),
    (note(question="a\x00b"), "question: holds the control character '\\x00', got 'a\\x00b'"),
    (
        note(question="x" * 8001),
        "question: String should have at most 8000 characters, got '" + "x" * 56 + "...",
    ),
    (note(question=...), "question: is missing"),
    (note(extra=1), "extra: unknown field, got 1"),
    (
        note(learning_summary="text"),
        "learning_summary: Input should be a valid array, got 'text'",
    ),
    (note(learning_summary=["a", 2]), "learning_summary.1: Input should be a valid string, got 2"),
    (
        note(learning_summary=[], supplementary_knowledge=[]),
        "learning_summary and supplementary_knowledge are both empty",
    ),
    (note(source=None), "source: Input should be a valid string, got None"),
    ("[1]", "Input should be an object"),
    (
        '{"id": ',
        "Invalid JSON: EOF while parsing a value at column 7",
    ),
    (
        '{"id": "\\ud800"}',
        "Invalid JSON: unexpected end of hex escape at column 15",
    ),
    ("", "the line is empty"),
    (note() + "\r", "the line ends in CR LF; save the file with LF line ends"),
    ("\ufeff" + note(), "the file begins with a byte order mark; save it as plain UTF-8"),
    (note(id="a" * 100), f"id: {'a' * 100!r} stands after 'ages-000'; sort by id"),
    (note(id="ages-000"), "id: 'ages-000' stands a second time; sort by id"),
]


@pytest.mark.parametrize(("bad", "expected"), BAD_ROWS)
def test_a_bad_row_is_named_with_file_line_field_and_value(
    tmp_path: Path, bad: str, expected: str
) -> None:
    write(tmp_path, note(id="ages-000"), bad)
    write_message = message(write_manifest, tmp_path, "r1")
    assert write_message == f"{tmp_path}: 1 problem\nnotes.jsonl:2: {expected}"
    assert not (tmp_path / "manifest.json").exists()


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_bytes(note().encode() + b"\n" + b'{"id": "\xff"}\n')
    assert "notes.jsonl:2: Invalid JSON: " in message(write_manifest, tmp_path, "r1")


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_bytes(b"x" * (3 << 20))
    assert "notes.jsonl:1: the line is longer than 1048576 bytes" in message(
        write_manifest, tmp_path, "r1"
    )


def test_twenty_problems_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    write(tmp_path, *(note(id=f"n{i:02}", revision=-i) for i in range(25)))
    lines = message(write_manifest, tmp_path, "r1").splitlines()
    assert lines[0] == f"{tmp_path}: 25 problems"
    assert len(lines) == 22
    assert lines[-1] == "... and 5 more"


def manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


BAD_MANIFESTS = [
    ({"format_version": 2}, "manifest.json: format_version: Input should be 1, got 2"),
    (
        {"release": "../x"},
        (
            "manifest.json: release: must be 1 to 128 letters, digits, dots, hyphens or "
            "underscores, got '../x'"
        ),
    ),
    ({"author": "me"}, "manifest.json: author: unknown field, got 'me'"),
    (
        {"files": {}},
        (
            "manifest.json: files: Dictionary should have at least 1 item after validation, not 0, "
            "got {}"
        ),
    ),
]


@pytest.mark.parametrize(("changes", "expected"), BAD_MANIFESTS)
def test_a_bad_manifest_is_named(tmp_path: Path, changes: dict[str, object], expected: str) -> None:
    write(tmp_path, note())
    write_manifest(tmp_path, "r1")
    manifest(tmp_path, **changes)
    assert message(read_dump, tmp_path) == f"{tmp_path}: 1 problem\n{expected}"


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "manifest.json: cannot be read: Not a directory" in message(read_dump, tmp_path / "file")
    (tmp_path / "notes.jsonl").mkdir()
    assert "notes.jsonl: cannot be read: Is a directory" in message(read_dump, tmp_path)


def test_an_edited_file_needs_a_new_manifest(tmp_path: Path) -> None:
    write(tmp_path, note())
    write_manifest(tmp_path, "r1")
    write(tmp_path, note(revision=2))
    assert "files.notes.jsonl.sha256: " in message(read_dump, tmp_path)
    write(tmp_path, note(), note(id="b"))
    assert message(read_dump, tmp_path).endswith(
        "manifest.json: files.notes.jsonl.rows: 2 expected, got 1; after an edit, run: "
        "nesycd kb manifest"
    )


def test_missing_and_unknown_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").touch()
    (tmp_path / "notes.jsonl.bz2").touch()
    (tmp_path / "other.npy").touch()
    known = "format 1 has notes.jsonl, rules.jsonl, facts.jsonl"
    assert message(read_dump, tmp_path).splitlines() == [
        f"{tmp_path}: 5 problems",
        "manifest.json: cannot be read: No such file or directory",
        f"notes.jsonl.bz2: unknown file: {known}",
        f"questions.jsonl: unknown file: {known}",
        f"other.npy: unknown file: {known}",
        "notes.jsonl: is missing, and so is every other data file",
    ]


def test_a_file_that_the_manifest_lists_must_be_there_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    write_manifest(write_all(tmp_path), "r1")
    (tmp_path / "rules.jsonl").rename(tmp_path / "rules.jsonl.old")
    assert "rules.jsonl.old: unknown file" in message(read_dump, tmp_path)
    (tmp_path / "rules.jsonl.old").unlink()
    edited = "; after an edit, run: nesycd kb manifest"
    assert message(read_dump, tmp_path).endswith(
        f"rules.jsonl: is missing, but manifest.json lists it{edited}"
    )
    write(tmp_path, rule(), name="rules.jsonl.gz")
    assert f"rules.jsonl.gz: is not listed in manifest.json{edited}" in message(read_dump, tmp_path)


def test_a_file_without_entries_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    assert message(write_manifest, tmp_path, "r1").endswith("notes.jsonl: holds no entries")


def test_rules_and_facts_are_read_with_the_notes_by_id(tmp_path: Path) -> None:
    dump = write_manifest(write_all(tmp_path), "r1")
    assert dump.counts == {EntryKind.NOTE: 3, EntryKind.RULE: 1, EntryKind.FACT: 2}
    assert dump.rows == 6
    ids = [entry.id for entry in dump.entries()]
    assert ids == ["f1", "f2", "kinship-001", "n000", "n001", "n002"]
    assert read_dump(tmp_path) == dump


def test_a_dump_may_hold_facts_alone(tmp_path: Path) -> None:
    write(tmp_path, fact(), name="facts.jsonl")
    assert write_manifest(tmp_path, "r1").counts == {EntryKind.FACT: 1}


def test_a_compressed_file_has_the_checksum_of_what_it_holds(tmp_path: Path) -> None:
    plain = write_manifest(write(tmp_path / "a", note()), "r1")
    packed = write_manifest(write(tmp_path / "b", note(), name="notes.jsonl.gz"), "r1")
    assert packed.checksum == plain.checksum
    files = packed.manifest.files
    assert files == {"notes.jsonl.gz": plain.manifest.files["notes.jsonl"]}
    assert [*read_dump(tmp_path / "b").entries()] == [*plain.entries()]


def test_a_broken_compressed_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, note(), name="notes.jsonl.gz")
    whole = (tmp_path / "notes.jsonl.gz").read_bytes()
    for broken in (whole[:-9], b"no gzip", whole[:10] + b"\xff" * 20):
        (tmp_path / "notes.jsonl.gz").write_bytes(broken)
        assert "notes.jsonl.gz: cannot be read: " in message(write_manifest, tmp_path, "r1")


def test_a_file_may_not_be_there_both_plain_and_compressed(tmp_path: Path) -> None:
    write(write(tmp_path, note()), note(), name="notes.jsonl.gz")
    said = message(write_manifest, tmp_path, "r1")
    assert "notes.jsonl.gz: notes.jsonl is there too; delete one of them" in said


def test_an_id_may_stand_in_one_file_only(tmp_path: Path) -> None:
    write(tmp_path, note(id="a"), note(id="b"))
    write(tmp_path, fact(id="b"), name="facts.jsonl")
    said = message(write_manifest, tmp_path, "r1")
    assert said.endswith("facts.jsonl:1: id: 'b' stands also at notes.jsonl:2")


BAD_GRAPH_ROWS = [
    ("facts.jsonl", fact(relation="Is A"), "relation: must be in snake_case, got 'Is A'"),
    ("facts.jsonl", fact(subject=" "), "subject: is empty, got ' '"),
    ("facts.jsonl", note(), "subject: is missing"),
    ("rules.jsonl", rule(rule="p(X) :-"), "rule: column 8: expected "),
    (
        "rules.jsonl",
        rule(confidence=0),
        "confidence: Input should be greater than 0, got 0",
    ),
]


@pytest.mark.parametrize(("name", "bad", "expected"), BAD_GRAPH_ROWS)
def test_a_bad_rule_or_fact_is_named(tmp_path: Path, name: str, bad: str, expected: str) -> None:
    write(write(tmp_path, note()), bad, name=name)
    assert f"\n{name}:1: {expected}" in message(write_manifest, tmp_path, "r1")


def test_rules_that_cannot_be_used_together_are_named_by_their_line(tmp_path: Path) -> None:
    bad = "grandparent(X) :- parent(X, Y), old(Y)."
    write(tmp_path, rule(), rule(id="z", rule=bad), name="rules.jsonl")
    write(tmp_path, fact(), name="facts.jsonl")
    said = message(write_manifest, tmp_path, "r1").splitlines()[1:]
    assert [line.partition(": ")[0] for line in said] == ["rules.jsonl:2", "rules.jsonl:2"]
    assert "rule: the predicate grandparent has 1 argument" in said[0]
    assert "rule: the predicate old is unknown" in said[1]


def test_lines_that_an_export_would_spell_otherwise_are_counted(tmp_path: Path) -> None:
    write(tmp_path, note(id="a"), json.dumps({**NOTE, "id": "b"}), note(id="c", concepts=[]))
    assert write_manifest(tmp_path, "r1").respelled == 2


def test_parent_and_embedding_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_manifest(write_all(tmp_path), "r2", parent="r1")
    add_vectors(tmp_path)
    assert read_dump(tmp_path).manifest.parent == "r1"
    again = write_manifest(tmp_path, "r3")
    assert again.manifest.parent == "r1"
    assert write_manifest(tmp_path, "r3", parent="").manifest.parent is None
    assert again.manifest.embedding is not None
    assert again.manifest.embedding.dimension == 4


def add_vectors(folder: Path, vectors: object = None) -> None:
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    if vectors is None:
        vectors = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]]
    np.save(folder / "vectors.npy", vectors)
    sha256 = hashlib.sha256((folder / "vectors.npy").read_bytes()).hexdigest()
    values["files"]["vectors.npy"] = {"rows": 6, "sha256": sha256}
    values["embedding"] = {"model": "m", "checksum": "0" * 64, "dimension": 4}
    path.write_text(json.dumps(values))


BAD_VECTORS = [
    (np.zeros((5, 4), np.float32), "vectors.npy: (6, 4) float32 expected, got (5, 4) float32"),
    (np.zeros((6, 4)), "vectors.npy: (6, 4) float32 expected, got (6, 4) float64"),
    (
        np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]] * [[1], [1], [2], [1], [1], [1]],
        "vectors.npy: (6, 4) float32 expected, got (6, 4) float64",
    ),
    (
        np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]]
        * np.array([[1], [1], [2], [1], [np.nan], [1]], np.float32),
        "vectors.npy:3: length 1 expected, got 2.0\nvectors.npy:5: length 1 expected, got nan",
    ),
]


@pytest.mark.parametrize(("vectors", "expected"), BAD_VECTORS)
def test_bad_vectors_are_named(tmp_path: Path, vectors: object, expected: str) -> None:
    write_manifest(write_all(tmp_path), "r1")
    add_vectors(tmp_path, vectors)
    assert message(read_dump, tmp_path).partition("\n")[2] == expected


def test_vectors_that_were_changed_cut_or_are_no_numbers_are_named(tmp_path: Path) -> None:
    write_manifest(write_all(tmp_path), "r1")
    add_vectors(tmp_path)
    path = tmp_path / "vectors.npy"
    content = path.read_bytes()
    np.save(path, np.eye(4, dtype=np.float32)[[3, 1, 2, 3, 0, 1]])
    assert "manifest.json: files.vectors.npy.sha256: " in message(read_dump, tmp_path)
    path.write_bytes(content[:-4])
    assert "vectors.npy: cannot be read: " in message(read_dump, tmp_path)
    np.save(path, np.array([{"not": "numbers"}]), allow_pickle=True)
    assert "vectors.npy: cannot be read: " in message(read_dump, tmp_path)
    np.savez(tmp_path / "more.npz", np.eye(2))
    (tmp_path / "more.npz").replace(path)
    assert "vectors.npy: cannot be read: " in message(read_dump, tmp_path)
    path.unlink()
    assert message(read_dump, tmp_path).endswith(
        "vectors.npy: cannot be read: No such file or directory"
    )


def test_vectors_of_other_entries_are_not_kept_after_an_edit(tmp_path: Path) -> None:
    write_manifest(write_all(tmp_path), "r1")
    add_vectors(tmp_path)
    write(tmp_path, *(note(id=f"n{i:03}", question="changed") for i in range(3)))
    said = message(write_manifest, tmp_path, "r2")
    assert said.endswith("vectors.npy: was made for other entries; delete it")


def test_vectors_that_are_not_listed_are_named(tmp_path: Path) -> None:
    write_manifest(write_all(tmp_path), "r1")
    np.save(tmp_path / "vectors.npy", np.eye(2, dtype=np.float32))
    assert "vectors.npy: is not listed in manifest.json" in message(read_dump, tmp_path)


def test_a_file_changed_after_the_check_is_not_loaded(tmp_path: Path) -> None:
    write(tmp_path, note())
    dump = write_manifest(tmp_path, "r1")
    write(tmp_path, note(revision=2))
    assert message(list, dump.entries()).endswith("was changed while it was read.")


text = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1)


@given(question=text, statements=st.lists(text, min_size=1, max_size=3), source=text)
def test_any_printable_text_makes_the_round_trip(
    question: str, statements: list[str], source: str
) -> None:
    row = {**NOTE, "question": question, "learning_summary": statements, "source": source[:256]}
    entry = entry_of(NoteRow.model_validate_json(json.dumps(row)))
    assert entry.question == question
    assert isinstance(entry.body, Note)
    assert entry.body.learning_summary == tuple(statements)
    again = entry_of(NoteRow.model_validate_json(json.dumps(row, ensure_ascii=False)))
    assert entry_checksum(entry) == entry_checksum(again)
