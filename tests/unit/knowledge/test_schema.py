from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from services.knowledge import schema


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
