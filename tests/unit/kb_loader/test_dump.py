from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb_loader.dump import read_dump, write_manifest
from kb_loader.rows import NoteRow
from services.common.errors import ConfigurationError
from services.knowledge.checksums import entry_checksum

GOOD = {
    "id": "ages-001",
    "revision": 1,
    "task": "ages",
    "question": "How old is Liv — now?",
    "learning_summary": ["Write an equation."],
    "supplementary_knowledge": ["older = younger + difference"],
    "source": "",
    "provenance": "curated",
}


def line(**changes: object) -> str:
    row = {**GOOD, **changes}
    return json.dumps({key: value for key, value in row.items() if value is not ...})


def write(folder: Path, *lines: str) -> None:
    (folder / "notes.jsonl").write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")


def message(call: Callable[..., object], *args: object, **kwargs: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        call(*args, **kwargs)
    return caught.value.message


def test_a_dump_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, line(), line(id="ages-002", task=""))
    written = write_manifest(tmp_path, "r1", description="d", provenance="p")
    dump = read_dump(tmp_path)
    assert dump == written
    assert dump.rows == 2
    assert dump.tasks == {"": 1, "ages": 1}
    assert dump.manifest.release == "r1"
    assert [entry.id for entry in dump.entries()] == ["ages-001", "ages-002"]
    assert next(dump.entries()).question == GOOD["question"]


def test_a_new_manifest_keeps_description_and_provenance(tmp_path: Path) -> None:
    write(tmp_path, line())
    write_manifest(tmp_path, "r1", description="d", provenance="p")
    write(tmp_path, line(), line(id="b"))
    dump = write_manifest(tmp_path, "r2")
    assert (dump.manifest.description, dump.manifest.provenance) == ("d", "p")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "notes.jsonl"]


def test_the_checksum_is_of_the_entries_not_of_their_spelling(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(GOOD, ensure_ascii=True))
    first = write_manifest(tmp_path, "r1")
    write(tmp_path, json.dumps(GOOD, ensure_ascii=False, separators=(",", ":")))
    assert write_manifest(tmp_path, "r1").checksum == first.checksum
    write(tmp_path, line(revision=2))
    assert write_manifest(tmp_path, "r1").checksum != first.checksum


BAD_ROWS = [
    (line(id="a b"), "id: must be 1 to 128 characters without white space, got 'a b'"),
    (line(id=""), "id: must be 1 to 128 characters without white space, got ''"),
    (line(revision=0), "revision: Input should be greater than or equal to 1, got 0"),
    (line(revision="1"), "revision: Input should be a valid integer, got '1'"),
    (line(task="Two Words"), "task: must be in snake_case or empty, got 'Two Words'"),
    (line(question=" \n"), "question: is empty, got ' \\n'"),
    (line(question="a\x00b"), "question: holds the control character '\\x00', got 'a\\x00b'"),
    (
        line(question="x" * 8001),
        "question: String should have at most 8000 characters, got '" + "x" * 56 + "...",
    ),
    (line(question=...), "question: is missing"),
    (line(extra=1), "extra: unknown field, got 1"),
    (
        line(learning_summary="text"),
        "learning_summary: Input should be a valid array, got 'text'",
    ),
    (line(learning_summary=["a", 2]), "learning_summary.1: Input should be a valid string, got 2"),
    (
        line(learning_summary=[], supplementary_knowledge=[]),
        "learning_summary and supplementary_knowledge are both empty",
    ),
    (line(source=None), "source: Input should be a valid string, got None"),
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
    (line() + "\r", "the line ends in CR LF; save the file with LF line ends"),
    ("\ufeff" + line(), "the file begins with a byte order mark; save it as plain UTF-8"),
    (line(id="a" * 100), f"id: {'a' * 100!r} stands after 'ages-000'; sort by id"),
    (line(id="ages-000"), "id: 'ages-000' stands a second time; sort by id"),
]


@pytest.mark.parametrize(("bad", "expected"), BAD_ROWS)
def test_a_bad_row_is_named_with_file_line_field_and_value(
    tmp_path: Path, bad: str, expected: str
) -> None:
    write(tmp_path, line(id="ages-000"), bad)
    write_message = message(write_manifest, tmp_path, "r1")
    assert write_message == f"{tmp_path}: 1 problem\nnotes.jsonl:2: {expected}"
    assert not (tmp_path / "manifest.json").exists()


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_bytes(line().encode() + b"\n" + b'{"id": "\xff"}\n')
    assert "notes.jsonl:2: Invalid JSON: " in message(write_manifest, tmp_path, "r1")


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_bytes(b"x" * (3 << 20))
    assert "notes.jsonl:1: the line is longer than 1048576 bytes" in message(
        write_manifest, tmp_path, "r1"
    )


def test_twenty_problems_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    write(tmp_path, *(line(id=f"n{i:02}", revision=-i) for i in range(25)))
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
    write(tmp_path, line())
    write_manifest(tmp_path, "r1")
    manifest(tmp_path, **changes)
    assert message(read_dump, tmp_path) == f"{tmp_path}: 1 problem\n{expected}"


def test_an_edited_file_needs_a_new_manifest(tmp_path: Path) -> None:
    write(tmp_path, line())
    write_manifest(tmp_path, "r1")
    write(tmp_path, line(revision=2))
    assert "files.notes.jsonl.sha256: " in message(read_dump, tmp_path)
    write(tmp_path, line(), line(id="b"))
    assert message(read_dump, tmp_path).endswith(
        "manifest.json: files.notes.jsonl.rows: 2 expected, got 1; after an edit, run: "
        "nesycd kb manifest"
    )


def test_missing_and_unknown_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "rules.jsonl").touch()
    assert message(read_dump, tmp_path).splitlines() == [
        f"{tmp_path}: 3 problems",
        "manifest.json: cannot be read: No such file or directory",
        "notes.jsonl: cannot be read: No such file or directory",
        "rules.jsonl: unknown file: format 1 knows only notes.jsonl",
    ]


def test_a_dump_without_notes_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    assert message(write_manifest, tmp_path, "r1").endswith("notes.jsonl: holds no notes")


def test_a_file_changed_after_the_check_is_not_loaded(tmp_path: Path) -> None:
    write(tmp_path, line())
    dump = write_manifest(tmp_path, "r1")
    write(tmp_path, line(revision=2))
    assert message(list, dump.entries()).endswith("was changed while it was loaded.")


text = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1)


@given(question=text, statements=st.lists(text, min_size=1, max_size=3), source=text)
def test_any_printable_text_makes_the_round_trip(
    question: str, statements: list[str], source: str
) -> None:
    row = {**GOOD, "question": question, "learning_summary": statements, "source": source[:256]}
    entry = NoteRow.model_validate_json(json.dumps(row)).entry()
    assert entry.question == question
    assert entry.body.learning_summary == tuple(statements)
    again = NoteRow.model_validate_json(json.dumps(row, ensure_ascii=False)).entry()
    assert entry_checksum(entry) == entry_checksum(again)
