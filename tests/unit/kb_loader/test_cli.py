from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kb_loader.cli import app
from services.common.errors import (
    ConfigurationError,
    EditRefusedError,
    InvalidRequestError,
    ReleaseNotFoundError,
)
from services.common.records import Authorship, EntryStatus
from services.knowledge.checksums import etag
from services.knowledge.editing import Editor
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.fake import HashEmbedder
from tests.unit.kb_loader.dumps import fact, note, rule, write, write_all
from tests.unit.kb_loader.entries import note_entry

Run = Callable[..., str]
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
ME = Authorship("me")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "store" / "knowledge.db"
    monkeypatch.setenv("NESYCD_KNOWLEDGE__PATH", str(path))
    monkeypatch.setattr("services.knowledge.embedder.open_embedder", lambda _: HashEmbedder())
    return path


@pytest.fixture
def run(database: Path) -> Run:
    def run(*args: object, code: int = 0) -> str:
        result = CliRunner().invoke(app, [str(arg) for arg in args])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    notes = (note(id=f"n{i:03}", question=f"question {i}") for i in range(150))
    return write(tmp_path / "dump", *notes)


def test_a_hand_made_folder_becomes_the_active_release(run: Run, folder: Path) -> None:
    assert run("releases") == "no releases; load one with: nesycd kb load DIR\n"
    out = run("manifest", folder, "--release", "r1")
    assert out == f"wrote {folder / 'manifest.json'}: release r1, 150 notes\n"
    out = run("verify", folder)
    assert out == f"{folder}: release r1, 150 notes, no problems\n  ages: 150\n"
    assert run("load", folder) == "release r1: 150 notes, loaded, active\n"
    assert run("load", folder) == "release r1: 150 notes, was there already, active\n"
    assert run("releases").startswith("* r1: 150 entries, hash-64-0, curated, ")


def test_a_release_is_activated_by_name_and_rolled_back(run: Run, folder: Path) -> None:
    run("manifest", folder, "--release", "r1")
    run("load", folder, "--reason", "first")
    run("manifest", folder, "--release", "r2", "--parent", "r1")
    assert run("load", folder, "--no-activate") == "release r2: 150 notes, loaded, not active\n"
    assert run("activate", "r2", "--actor", "ann") == "release r2 is active\n"
    listed = json.loads(run("releases", "--json"))
    assert [(row["name"], row["is_active"]) for row in listed] == [("r1", False), ("r2", True)]
    assert "* r2: 150 entries, from r1, " in run("releases")
    assert run("rollback", "--reason", "worse") == "release r1 is active\n"
    assert json.loads(run("activate", "r2", "--json")) == {"active": "r2"}
    assert json.loads(run("rollback", "--json")) == {"active": "r1"}


def test_a_dry_run_says_what_would_change_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    folder = write_all(tmp_path / "dump")
    run("manifest", folder, "--release", "r1")
    assert run("load", folder, "--dry-run").splitlines() == [
        "release r1: 3 notes, 1 rule, 2 facts, would be loaded, then activated",
        "compared with no active release: 6 added, 0 removed, 0 changed",
    ]
    assert json.loads(run("releases", "--json")) == []
    run("load", folder)
    write(folder, note(id="n000", question="other"), note(id="n9"))
    run("manifest", folder, "--release", "r2")
    assert run("load", folder, "--dry-run", "--no-activate").splitlines() == [
        "release r2: 2 notes, 1 rule, 2 facts, would be loaded",
        "compared with release r1, which is active: 1 added, 2 removed, 1 changed",
    ]
    run("load", folder, "--no-activate")
    said = "release r2 would be active instead of r1: 1 added, 2 removed, 1 changed\n"
    assert run("activate", "r2", "--dry-run") == said
    assert json.loads(run("activate", "r2", "--dry-run", "--json"))["active"] == "r1"
    with pytest.raises(ReleaseNotFoundError, match="no release to roll back to"):
        run("rollback", "--dry-run")
    run("activate", "r2")
    said = "release r1 would be active instead of r2: 2 added, 1 removed, 1 changed\n"
    assert run("rollback", "--dry-run") == said
    assert "* r2: " in run("releases")


def test_a_dry_run_refuses_what_the_load_would_refuse(run: Run, folder: Path) -> None:
    run("manifest", folder, "--release", "r1")
    run("load", folder)
    write(folder, note())
    run("manifest", folder, "--release", "r1")
    for options in (["--dry-run"], []):
        with pytest.raises(ConfigurationError, match="is already loaded with other entries"):
            run("load", folder, *options)


def test_two_releases_or_dumps_are_compared(run: Run, tmp_path: Path) -> None:
    folder = write_all(tmp_path / "dump")
    run("manifest", folder, "--release", "r1")
    run("load", folder)
    changed = note(id="n000", question="question 0", learning_summary=["Draw it.", "Write it."])
    raised = note(id="n001", question="question 1", revision=2)
    write(folder, changed, raised, note(id="n9"))
    run("manifest", folder, "--release", "r2")
    expected = [
        "~ note n000",
        "    learning_summary:",
        "      - Write an equation.",
        "      + Draw it.",
        "      + Write it.",
        "~ note n001",
        "    revision: 1 -> 2",
        "- note n002: question 2",
        "+ note n9: How old is Liv — now?",
        "1 added, 1 removed, 2 changed",
    ]
    assert run("diff", "r1", folder).splitlines() == expected
    run("load", folder)
    assert run("diff", "r1", "r2").splitlines() == expected
    assert run("diff", "r2", "r1", "--summary") == "1 added, 1 removed, 2 changed\n"
    shown = json.loads(run("diff", "r1", folder, "--json"))
    assert (shown["added"], shown["removed"], shown["changed"]) == (1, 1, 2)
    assert shown["entries"][0] == {
        "id": "n000",
        "change": "changed",
        "fields": [
            {
                "field": "learning_summary",
                "old": "Write an equation.",
                "new": "Draw it.\nWrite it.",
            }
        ],
    }
    with pytest.raises(ReleaseNotFoundError, match=r"there is no release 'r3'.*releases: r1, r2\."):
        run("diff", "r1", "r3")


def test_two_folders_are_compared_without_a_store(run: Run, database: Path, tmp_path: Path) -> None:
    folder = write_all(tmp_path / "dump")
    run("manifest", folder, "--release", "r1")
    assert run("diff", folder, folder) == "0 added, 0 removed, 0 changed\n"
    assert not database.exists()


def test_an_export_equals_the_dump(run: Run, tmp_path: Path) -> None:
    folder = write_all(tmp_path / "dump")
    run("manifest", folder, "--release", "r1", "--description", "Mine.")
    run("load", folder)
    out = run("export", tmp_path / "out")
    assert out == f"wrote {tmp_path / 'out'}: release r1, 3 notes, 1 rule, 2 facts\n"
    for path in folder.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes()
    packed = run("export", tmp_path / "packed", "--release", "r1", "--compress", "--vectors")
    assert "release r1" in packed
    assert run("verify", tmp_path / "packed").startswith(
        f"{tmp_path / 'packed'}: release r1, 3 notes, 1 rule, 2 facts, with vectors, no problems\n"
    )


def test_a_dump_with_vectors_of_another_encoder_is_embedded_anew_and_that_is_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_all(tmp_path / "dump")
    run("manifest", folder, "--release", "r1")
    run("load", folder)
    run("export", tmp_path / "out", "--vectors")
    monkeypatch.setenv("NESYCD_KNOWLEDGE__PATH", str(tmp_path / "other.db"))
    assert run("load", tmp_path / "out") == (
        "release r1: 3 notes, 1 rule, 2 facts, loaded, active\n"
    )
    monkeypatch.setenv("NESYCD_KNOWLEDGE__PATH", str(tmp_path / "third.db"))
    monkeypatch.setattr("services.knowledge.embedder.open_embedder", lambda _: HashEmbedder(32))
    said = run("load", tmp_path / "out").splitlines()
    assert said[0].startswith("vectors.npy was made by hash-64-0 (")
    assert said[0].endswith("not by hash-32-0: the entries were embedded anew")


def test_untidy_files_are_named_and_tidied(run: Run, tmp_path: Path) -> None:
    folder = write(tmp_path / "dump", json.dumps(json.loads(note(id="a"))), note(id="b"))
    hint = "1 line would be spelled differently by export; to rewrite them: nesycd kb manifest"
    assert hint in run("manifest", folder, "--release", "r1")
    assert hint in run("verify", folder)
    write(folder, note(id="b"), note(id="a"))
    with pytest.raises(ConfigurationError, match="sort by id"):
        run("manifest", folder, "--release", "r1")
    assert run("manifest", folder, "--release", "r1", "--tidy").splitlines() == [
        f"rewrote {folder / 'notes.jsonl'}",
        f"wrote {folder / 'manifest.json'}: release r1, 2 notes",
    ]


def edit(database: Path) -> None:
    async def add_a_note() -> None:
        store = EmbeddedStore(database)
        editor = Editor(store, HashEmbedder())
        draft = await editor.create(note_entry("new", "What is new?"), ME)
        await editor.review("new", etag(draft), EntryStatus.ACCEPTED, ME)
        await store.close()

    asyncio.run(add_a_note())


def test_a_release_is_made_of_accepted_edits(run: Run, database: Path, tmp_path: Path) -> None:
    folder = write_all(tmp_path / "dump")
    run("manifest", folder, "--release", "r1")
    run("load", folder)
    with pytest.raises(EditRefusedError, match="has every accepted edit already"):
        run("release", "r2")
    edit(database)
    with pytest.raises(InvalidRequestError, match="name: must be 1 to 128 letters, digits"):
        run("release", "r 2")
    assert "waiting for a release: 1 accepted or retired since" in run("stats")
    assert run("release", "r2", "--dry-run").splitlines() == [
        "+ note new: What is new?",
        "release r2: would be made from r1, 7 entries: 1 added, 0 removed, 0 changed",
    ]
    assert json.loads(run("release", "r2", "--dry-run", "--json"))["added"] == 1
    assert len(json.loads(run("releases", "--json"))) == 1
    assert run("release", "r2", "--reason", "more").splitlines() == [
        "release r2: made from r1, 7 entries: 1 added, 0 removed, 0 changed",
        "to use it: nesycd kb activate r2",
    ]
    assert "* r1: " in run("releases")
    assert "  r2: 7 entries, from r1, " in run("releases")


def test_the_check_fails_for_errors_and_if_strict_for_warnings(run: Run, tmp_path: Path) -> None:
    folder = write_all(tmp_path / "dump")
    write(folder, *(note(id=f"n{i}", question=text) for i, text in enumerate(QUESTIONS)))
    run("manifest", folder, "--release", "r1")
    assert run("check", folder) == f"{folder}: 0 errors, 0 warnings\n"
    write(folder, note(id="n1", question="Is Ann 41?", learning_summary=["Ann is 41."]))
    run("manifest", folder, "--release", "r2")
    assert run("check", folder).splitlines() == [
        "warning: Notes that repeat their own question's numbers or names: 1",
        "  n1: 41, Ann",
        "  -> Say it in general terms: such a note misleads on the next question.",
        "",
        f"{folder}: 0 errors, 1 warning",
    ]
    run("check", folder, "--strict", code=1)
    conflict = rule(id="z", rule="conflict(X, Y) :- parent(X, Y), parent(Y, X).")
    write(folder, rule(), conflict, name="rules.jsonl")
    back = fact(id="f3", subject="Bob", object="Ann")
    write(folder, fact(id="f1"), back, name="facts.jsonl")
    run("manifest", folder, "--release", "r3")
    run("load", folder)
    out = run("check", code=1)
    assert out.startswith("error: Contradictions between facts and rules: 1\n")
    assert out.endswith("release r3: 1 error, 1 warning\n")
    report = json.loads(run("check", "r3", "--json", code=1))
    assert (report["checked"], report["errors"], report["warnings"]) == ("release r3", 1, 1)
    assert report["findings"][0]["kind"] == "contradiction"
    assert sorted(report["findings"][0]["entries"]) == ["f1", "f3", "z"]


QUESTIONS = ["Who is Bob's parent?", "What is the weather?"]


def test_the_store_is_brought_up_to_date_and_says_so(run: Run, database: Path) -> None:
    out = run("migrate", "--dry-run").splitlines()
    assert out[0] == "  to be done: entries, revisions, releases"
    assert out[-1].startswith("embedded store: ")
    assert not database.exists()
    assert "  done: entries, revisions, releases" in run("migrate").splitlines()
    assert run("migrate").endswith("embedded store: up to date\n")
    found = json.loads(run("migrate", "--dry-run", "--json"))
    assert (found["pending"], found["applied"][0]) == ([], "entries, revisions, releases")


def test_a_file_that_is_no_store_is_left_alone(run: Run, database: Path) -> None:
    database.parent.mkdir()
    database.write_bytes(b"something else" * 100)
    with pytest.raises(ConfigurationError, match="file is not a database"):
        run("migrate", "--dry-run")
    assert database.read_bytes() == b"something else" * 100


def test_every_command_prints_json(run: Run, tmp_path: Path) -> None:
    folder = write_all(tmp_path / "dump")
    written = json.loads(run("manifest", folder, "--release", "r1", "--json"))
    assert written["files"]["notes.jsonl"]["rows"] == 3
    verified = json.loads(run("verify", folder, "--json"))
    assert verified["kinds"] == {"note": 3, "rule": 1, "fact": 2}
    assert verified["tasks"] == {"": 3, "ages": 3}
    loaded = json.loads(run("load", folder, "--json"))
    assert loaded["checksum"] == verified["checksum"]
    assert (loaded["is_new"], loaded["is_active"]) == (True, True)
    assert json.loads(run("export", tmp_path / "out", "--json")) == written
    counted = json.loads(run("stats", "--json"))
    assert counted["kinds"] == {"note": 3, "rule": 1, "fact": 2}
    assert counted["active"]["name"] == "r1"


def test_errors_reach_the_caller(run: Run, folder: Path) -> None:
    with pytest.raises(ReleaseNotFoundError, match="there is no release 'nope'"):
        run("activate", "nope")
    with pytest.raises(ReleaseNotFoundError, match="no release is active; load one with"):
        run("check")
    with pytest.raises(ConfigurationError, match=r"manifest\.json: cannot be read"):
        run("load", folder)


def test_a_bad_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESYCD_KNOWLEDGE__THREADS", "0")
    with pytest.raises(ConfigurationError, match="NESYCD_KNOWLEDGE__THREADS='0'"):
        run("releases")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_json(run: Run, command: str) -> None:
    shown = run(command, "--help")
    assert f"Example: nesycd kb {command}" in shown
    assert "--json" in shown


@pytest.mark.parametrize("command", ["load", "release", "activate", "rollback", "migrate"])
def test_every_command_that_writes_to_the_store_has_a_dry_run(run: Run, command: str) -> None:
    assert "--dry-run" in run(command, "--help")


def test_the_commands_start_without_numpy_or_onnxruntime() -> None:
    code = (
        "import sys, kb_loader.cli; "
        "assert not {'numpy', 'onnxruntime', 'tokenizers', 'neo4j', 'lark'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
