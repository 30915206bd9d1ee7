"""Bringing the server's schema up to date, one numbered step after another."""

from __future__ import annotations

from services.common.errors import ConfigurationError
from services.knowledge.neo4j import queries
from services.knowledge.neo4j.connection import Connection, Transaction


async def applied(connection: Connection) -> list[int]:
    """Numbers of the migrations that the server has, in order."""
    return [int(row["number"]) for row in await connection.read(queries.APPLIED)]


async def pending(connection: Connection) -> list[int]:
    """Numbers of the migrations that it lacks, in order.

    Raises: ConfigurationError when a later version of nesycd has migrated it.
    """
    there = await applied(connection)
    known = range(1, len(queries.MIGRATIONS) + 1)
    if there and there[-1] not in known:
        raise ConfigurationError(
            f"the Neo4j database was made by a later version of nesycd (migration {there[-1]}, "
            f"this one knows {len(known)})."
        )
    return [number for number in known if number not in there]


async def migrate(connection: Connection) -> None:
    """Applies what is pending.

    Two processes may do so at once: each statement does nothing where it is done already.
    """
    for number in await pending(connection):
        name, statements = queries.MIGRATIONS[number - 1]
        for statement in statements:
            await connection.run(statement)
        await connection.run(queries.AWAIT_INDEXES, seconds=60)

        async def note(transaction: Transaction, number: int = number, name: str = name) -> None:
            await transaction.run(queries.NOTE_MIGRATION, number=number, name=name)

        await connection.write(note)
