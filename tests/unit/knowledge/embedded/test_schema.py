from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from services.common.errors import ReleaseNotFoundError
from services.common.records import Authorship, Entry, Note
from services.knowledge.checksums import entry_checksum, release_checksum
from services.knowledge.embedded import schema
from services.knowledge.embedded.store import EmbeddedStore
from services.knowledge.fake import HashEmbedder
from services.knowledge.protocol import KnowledgeQuery, Uses


def test_migrations_are_recorded_and_run_once(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "knowledge base?.db"
    for _ in range(2):
        schema.prepare(path)
    with closing(schema.connect(path)) as db:
        rows = db.execute("SELECT number, name FROM migrations").fetchall()
        assert rows == [(n, name) for n, (name, _) in enumerate(schema.MIGRATIONS, start=1)]
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_later_migration_is_added_to_an_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "knowledge.db"
    schema.prepare(path)
    later = (*schema.MIGRATIONS, ("a note", ("CREATE TABLE more (x)",)))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    schema.prepare(path)
    with closing(schema.connect(path)) as db:
        assert db.execute("SELECT max(number) FROM migrations").fetchone() == (len(later),)
        assert db.execute("SELECT count(*) FROM more").fetchone() == (0,)


def test_a_failed_migration_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "knowledge.db"
    schema.prepare(path)
    later = (*schema.MIGRATIONS, ("broken", ("CREATE TABLE more (x)", "CREATE TABLE more (x)")))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", later)
        with pytest.raises(Exception, match="already exists"):
            schema.prepare(path)
    schema.prepare(path)
    with closing(schema.connect(path)) as db:
        assert db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'more'").fetchone() is None


def insert_twice(db: sqlite3.Connection) -> None:
    with schema.transaction(db):
        db.execute("INSERT INTO entries VALUES ('a')")
        db.execute("INSERT INTO entries VALUES ('a')")


def test_a_transaction_is_undone_on_an_error(tmp_path: Path) -> None:
    path = tmp_path / "knowledge.db"
    schema.prepare(path)
    with closing(schema.connect(path)) as db:
        with pytest.raises(sqlite3.IntegrityError):
            insert_twice(db)
        assert db.execute("SELECT count(*) FROM entries").fetchone() == (0,)


def made_by_migration_1(path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A file as version 0.1 wrote it: one active release of one note, used three times."""
    note = Entry("a", 2, "sums", "how many apples", Note(("count",), ("é",)), "q1", "curated")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        schema.prepare(path)
    body = '{"learning_summary": ["count"], "supplementary_knowledge": ["é"]}'
    checksum = entry_checksum(note)
    vector = HashEmbedder(8).embed([note.question])[0].tobytes()
    with closing(schema.connect(path)) as db, schema.transaction(db):
        for statement, values in (
            ("INSERT INTO entries VALUES (?)", ("a",)),
            (
                "INSERT INTO revisions VALUES (7, ?, ?, ?, 'note', ?, ?, ?, ?, ?)",
                ("a", 2, checksum, "sums", note.question, body, "q1", "curated"),
            ),
            ("INSERT INTO vectors VALUES (7, ?, ?)", (HashEmbedder(8).checksum, vector)),
            (
                "INSERT INTO releases VALUES (3, 'old', ?, 1, 'hash-8-0', ?, 8, 'ada', 5.5, 1)",
                (release_checksum([note]), HashEmbedder(8).checksum),
            ),
            ("INSERT INTO release_revisions VALUES (3, 0, 7)", ()),
            ("INSERT INTO active_release VALUES (1, 3, 6.5)", ()),
            ("INSERT INTO use_counts VALUES ('a', 3)", ()),
        ):
            db.execute(statement, values)
    return note


async def test_a_file_of_the_first_version_keeps_its_releases_and_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "knowledge.db"
    note = made_by_migration_1(path, monkeypatch)
    store = EmbeddedStore(path)
    vector = HashEmbedder(8).embed([note.question])[0]
    lookup = await store.search(KnowledgeQuery(note.question), vector)
    assert [hit.entry for hit in lookup.found] == [note]
    assert lookup.release is not None
    assert (lookup.release.name, lookup.release.parent) == ("old", "")
    assert lookup.release.checksum == release_checksum([note])
    assert await store.use_counts(["a"]) == {"a": Uses(3)}
    assert (await store.history("a"))[0].author == Authorship("ada", "old")
    with pytest.raises(ReleaseNotFoundError):
        await store.roll_back(Authorship("ada"))
    # The old release is known again, and can be built upon and gone back to.
    await store.load(lookup.release, [(note, vector)])
    await store.derive("new", "old", [(replace(note, id="b"), vector)], [], "ada")
    await store.activate("new", Authorship("ada"))
    assert (await store.roll_back(Authorship("ada"))).name == "old"
    await store.close()
