"""The embedded store's tables, and opening its file.

Shaped for the entries' whole life: a revision never changes, a release is a set of
revisions, an edit is a revision with its author, exactly one release is active. Indexes
for searching are not kept here; they are rebuilt from these tables (`release_index`).
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from services.common.errors import ConfigurationError, KnowledgeUnavailableError

APPLICATION_ID = 0x6E637964
"""Marks the file as ours ("ncyd"), so that no other application's file is written to."""

BUSY_TIMEOUT_S = 5.0

MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "entries, revisions, releases",
        (
            "CREATE TABLE entries (id TEXT PRIMARY KEY) WITHOUT ROWID",
            # Two dumps may each bring a revision 1 of an entry; their contents tell them apart.
            """
            CREATE TABLE revisions (
                key INTEGER PRIMARY KEY,
                entry_id TEXT NOT NULL REFERENCES entries (id),
                revision INTEGER NOT NULL CHECK (revision >= 1),
                checksum TEXT NOT NULL UNIQUE,
                kind TEXT NOT NULL,
                task TEXT NOT NULL,
                question TEXT NOT NULL,
                body TEXT NOT NULL,
                source TEXT NOT NULL,
                provenance TEXT NOT NULL
            )
            """,
            """
            CREATE TABLE vectors (
                revision_key INTEGER NOT NULL REFERENCES revisions (key),
                embedding_checksum TEXT NOT NULL,
                vector BLOB NOT NULL,
                PRIMARY KEY (revision_key, embedding_checksum)
            )
            """,
            """
            CREATE TABLE releases (
                key INTEGER PRIMARY KEY AUTOINCREMENT,
                name TEXT NOT NULL,
                checksum TEXT NOT NULL,
                entries INTEGER NOT NULL,
                embedding_model TEXT NOT NULL,
                embedding_checksum TEXT NOT NULL,
                dimension INTEGER NOT NULL,
                provenance TEXT NOT NULL,
                loaded_at REAL NOT NULL,
                complete INTEGER NOT NULL DEFAULT 0
            )
            """,
            "CREATE UNIQUE INDEX complete_releases ON releases (name) WHERE complete",
            """
            CREATE TABLE release_revisions (
                release_key INTEGER NOT NULL REFERENCES releases (key),
                position INTEGER NOT NULL,
                revision_key INTEGER NOT NULL REFERENCES revisions (key),
                PRIMARY KEY (release_key, position),
                UNIQUE (revision_key, release_key)
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE active_release (
                only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
                release_key INTEGER NOT NULL REFERENCES releases (key),
                activated_at REAL NOT NULL
            )
            """,
            "CREATE TABLE use_counts (entry_id TEXT PRIMARY KEY, uses INTEGER NOT NULL)",
        ),
    ),
    (
        "edits, the activation log, concepts",
        (
            "ALTER TABLE revisions ADD COLUMN concepts TEXT NOT NULL DEFAULT '[]'",
            "CREATE INDEX revisions_of_entry ON revisions (entry_id)",
            "CREATE INDEX rules_and_facts ON revisions (kind, key) WHERE kind <> 'note'",
            "ALTER TABLE releases ADD COLUMN parent TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE releases ADD COLUMN description TEXT NOT NULL DEFAULT ''",
            # The last one counts. Rolling back goes to `returns_to`, not to the one before: that
            # may itself be a roll-back.
            """
            CREATE TABLE activations (
                key INTEGER PRIMARY KEY AUTOINCREMENT,
                release_key INTEGER NOT NULL REFERENCES releases (key),
                returns_to INTEGER REFERENCES activations (key),
                actor TEXT NOT NULL,
                reason TEXT NOT NULL,
                at REAL NOT NULL
            )
            """,
            """
            INSERT INTO activations
            SELECT 1, release_key, NULL, 'unknown', '', activated_at FROM active_release
            """,
            "DROP TABLE active_release",
            """
            CREATE VIEW active_release AS
            SELECT key, release_key, returns_to FROM activations ORDER BY key DESC LIMIT 1
            """,
            """
            CREATE TABLE edits (
                key INTEGER PRIMARY KEY AUTOINCREMENT,
                entry_id TEXT NOT NULL REFERENCES entries (id),
                revision INTEGER NOT NULL,
                revision_key INTEGER NOT NULL UNIQUE REFERENCES revisions (key),
                status TEXT NOT NULL,
                action TEXT NOT NULL,
                actor TEXT NOT NULL,
                reason TEXT NOT NULL,
                batch TEXT NOT NULL,
                at REAL NOT NULL,
                redirect_to TEXT NOT NULL,
                UNIQUE (entry_id, revision)
            )
            """,
            "CREATE INDEX edits_of_batch ON edits (batch) WHERE batch <> ''",
            """
            CREATE VIEW heads AS SELECT * FROM edits AS e
            WHERE revision = (SELECT max(revision) FROM edits WHERE entry_id = e.entry_id)
            """,
            "ALTER TABLE use_counts ADD COLUMN right_uses INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE use_counts ADD COLUMN wrong_uses INTEGER NOT NULL DEFAULT 0",
        ),
    ),
)
"""Name and statements of each migration; its number is its place, from 1. Append only."""


def connect(path: Path, *, mode: str = "rw") -> sqlite3.Connection:
    """Opens the file; `mode` "rw" never makes one. Every commit is on the disk when it returns."""
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """A write transaction: committed at the end of the block, undone on any exception."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


@contextmanager
def writer_lock(path: Path, given_up: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Holds the lock of the one process that loads or migrates; waits for it.

    A lock of the operating system: it falls when its process dies, so that whoever holds
    it knows that an unfinished release in the file is a dead one.

    Args:
        path: the store's file; the lock is a file beside it.
        given_up: asked several times a second; raises KnowledgeUnavailableError once true.
    """
    try:
        lock = path.with_name(path.name + ".lock").open("wb")
    except OSError as error:
        raise KnowledgeUnavailableError(f"knowledge base {path}: {error}.") from error
    with lock as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if given_up():
                    raise KnowledgeUnavailableError(
                        f"knowledge base {path}: gave up waiting for another load to end."
                    ) from error
                time.sleep(0.05)
        yield


def prepare(path: Path) -> None:
    """Makes the file if there is none, and brings its tables up to date.

    Raises:
        ConfigurationError: the path cannot be used, holds something else, or was made by
            a later version.
        KnowledgeUnavailableError: another process keeps the file locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(connect(path, mode="rwc")) as db:
            if _is_current(db, path):
                return
            with writer_lock(path):
                db.execute("PRAGMA journal_mode = WAL")
                _migrate(db)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise KnowledgeUnavailableError(f"knowledge base {path}: {error}.") from error
        raise ConfigurationError(f"knowledge base {path}: {error}.") from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise ConfigurationError(f"knowledge base {path}: {error}.") from error


def _is_current(db: sqlite3.Connection, path: Path) -> bool:
    mark = db.execute("PRAGMA application_id").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if not tables:
        return False
    if mark != APPLICATION_ID:
        raise ConfigurationError(f"knowledge base {path}: the file is another application's.")
    applied = _applied(db)
    if applied > len(MIGRATIONS):
        raise ConfigurationError(
            f"knowledge base {path}: made by a later version (migration {applied}, "
            f"this one knows {len(MIGRATIONS)})."
        )
    return applied == len(MIGRATIONS)


def _applied(db: sqlite3.Connection) -> int:
    known = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").fetchone()
    if not known:
        return 0
    return int(db.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()[0])


def _migrate(db: sqlite3.Connection) -> None:
    with transaction(db):
        # Set inside the transaction: a killed start leaves an empty file, not an unmarked one.
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(
            "CREATE TABLE IF NOT EXISTS migrations "
            "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at REAL NOT NULL)"
        )
        for number, (name, statements) in enumerate(MIGRATIONS, start=1):
            if number <= _applied(db):
                continue
            for statement in statements:
                db.execute(statement)
            db.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, name, time.time()))
