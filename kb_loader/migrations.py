"""Which changes to the store's schema were made, and which are to come."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import ConfigurationError
from services.common.settings import Settings
from services.knowledge.embedded import schema


@dataclass(frozen=True, slots=True)
class Migrations:
    """Names of the migrations, in their order."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]


async def read_migrations(settings: Settings) -> Migrations:
    """Looks at the store that the settings name, and changes nothing.

    Raises:
        ConfigurationError: the embedded store's file is something else, or the store was
            made by a later version.
        KnowledgeUnavailableError: the server is down.
    """
    if settings.knowledge.store == "neo4j":
        return await _of_server(settings, migrate=False)
    applied = await asyncio.to_thread(_numbers_in_file, settings.knowledge_path)
    return _named([name for name, _ in schema.MIGRATIONS], applied)


async def migrate_store(settings: Settings) -> None:
    """Makes the pending migrations. Raises: as `read_migrations`."""
    if settings.knowledge.store == "neo4j":
        await _of_server(settings, migrate=True)
    else:
        await asyncio.to_thread(schema.prepare, settings.knowledge_path)


def _numbers_in_file(path: Path) -> set[int]:
    if not path.exists():
        return set()
    known = "SELECT 1 FROM sqlite_schema WHERE name = 'migrations'"
    try:
        with closing(schema.connect(path, mode="ro")) as db:
            if not db.execute(known).fetchone():
                return set()
            return {row[0] for row in db.execute("SELECT number FROM migrations")}
    except sqlite3.Error as error:
        raise ConfigurationError(f"knowledge base {path}: {error}.") from error


async def _of_server(settings: Settings, *, migrate: bool) -> Migrations:
    from services.knowledge.neo4j import migrations, queries  # noqa: PLC0415 - the driver
    from services.knowledge.neo4j.connection import Connection  # noqa: PLC0415 - the driver

    connection = Connection.from_settings(settings.knowledge)
    try:
        if migrate:
            await migrations.migrate(connection)
        applied = set(await migrations.applied(connection))
    finally:
        await connection.close()
    return _named([name for name, _ in queries.MIGRATIONS], applied)


def _named(names: list[str], applied: Collection[int]) -> Migrations:
    numbered = list(enumerate(names, start=1))
    return Migrations(
        tuple(name for number, name in numbered if number in applied),
        tuple(name for number, name in numbered if number not in applied),
    )
